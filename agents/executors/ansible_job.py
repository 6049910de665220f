"""A program of its own: one ansible-runner run, described by a JSON object on standard input.

It runs by path in a child process (`python -I …/ansible_job.py`), so that ansible-runner's import and threads never
live in the agents' process, and killing the child's tree ends a run whole. It imports nothing of ours.
Keys: private_data_dir, project_dir, playbook, inventory, cmdline, limit. Variables lie in `env/extravars` there: on
a command line any local user could read them. Events are left in `artifacts/run/job_events`; the exit code is
ansible-playbook's.
"""

import json
import subprocess
import sys
from pathlib import Path

import ansible_runner


def main() -> int:
    job = json.load(sys.stdin)
    private = Path(job["private_data_dir"])
    try:
        run = ansible_runner.run(
            private_data_dir=str(private),
            project_dir=job["project_dir"],
            playbook=job["playbook"],
            inventory=job["inventory"],
            cmdline=job["cmdline"],
            limit=job["limit"],
            ident="run",
            quiet=True,
            settings={"pexpect_timeout": 0.5},
            suppress_env_files=True,
        )
    finally:
        _end_masters(private / "cp")
    return int(run.rc)


def _end_masters(sockets: Path) -> None:
    """End the ssh masters the run kept for reuse: they would outlive it."""
    for socket in sockets.glob("*"):
        argv = ["ssh", "-F", "/dev/null", "-O", "exit", "-o", f"ControlPath={socket}", "any"]
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)


if __name__ == "__main__":
    sys.exit(main())
