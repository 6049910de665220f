"""`minilab init`: the first `.env`."""

import os
import sys
from pathlib import Path


def main(home: Path) -> int:
    """Copy `.env.template` to `.env`, readable by its owner only. Exit code: 0, or 1 with what is wrong."""
    template, target = home / ".env.template", home / ".env"
    try:
        text = template.read_bytes()
        # O_EXCL: never over somebody's keys, not even in a race
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except FileExistsError:
        print(f"{target} is there already and stays as it is; the choices are in {template}")
        return 0
    except OSError as error:
        print(f"minilab: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"wrote {target}: put your OPENAI_API_KEY there; without one the rehearsal plays")
    return 0
