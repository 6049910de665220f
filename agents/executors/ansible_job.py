"""A program of its own: one ansible-runner run, described by a JSON object on standard input.

It runs by path in a child process (`python -I …/ansible_job.py`), so that ansible-runner's import and threads never
live in the agents' process, and killing the child's tree ends a run whole. It imports nothing of ours.
Keys: private_data_dir, project_dir, playbook, inventory, cmdline, limit. Variables lie in `env/extravars` there: on
a command line any local user could read them. Events are left in `artifacts/run/job_events`.
"""

import json
import sys

import ansible_runner


def main() -> int:
    """Run the job; the exit code is ansible-playbook's."""
    job = json.load(sys.stdin)
    run = ansible_runner.run(
        private_data_dir=job["private_data_dir"],
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
    return int(run.rc)


if __name__ == "__main__":
    sys.exit(main())
