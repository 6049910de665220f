"""What acts even in a check run: attacks, each beside the harmless form it is a twist of."""

from typing import Any

import pytest

from agents.executors.check_hazards import hazards

HARMLESS = """
- name: page
  hosts: all
  gather_facts: true
  become: true
  connection: ssh
  vars:
    title: "Status of {{ inventory_hostname }}"
    environment: prod
    secret: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      3230
    raw: !unsafe "{{ not a template"
  vars_files: [vars/main.yml]
  pre_tasks:
    - ansible.builtin.assert: {that: ["ansible_os_family == 'Debian'"]}
  roles:
    - web
    - role: db
      vars: {port: 5432}
  tasks:
    - name: copy it
      ansible.builtin.template: {src: page.html.j2, dest: "/srv/{{ title }}.html", mode: "0644"}
      notify: reload
      when: not ansible_check_mode and ansible_distribution_major_version | int >= 3
    - command: nginx -t
      args: {creates: /run/x}
      register: result
      changed_when: false
      check_mode: true
    - block:
        - include_tasks: more.yml
        - import_role: {name: web, tasks_from: extra}
      rescue:
        - debug: {msg: "it is {{ result.rc | default('lookup of nothing') | length }}"}
    - copy: {dest: /etc/nginx.conf, src: "{{ playbook_dir }}/files/nginx.conf"}
    - copy: {dest: /etc/motd, content: "a query for you"}
      loop: [1, 2]
      loop_control: {loop_var: number}
    - copy: {dest: /etc/nginx.conf, src: files/nginx.conf}
    - find: {paths: /srv, patterns: "*.html"}
    - set_fact: {greeting: hello}
  handlers:
    - name: reload
      service: {name: nginx, state: reloaded}
- import_playbook: other.yml
"""
INVENTORY = """
[web]
web1 ansible_host=10.0.0.5 ansible_port=22 ansible_user=ops ansible_ssh_private_key_file=/keys/id
[web:vars]
ansible_python_interpreter=/usr/bin/python3.11
ansible_become=yes
"""


def found(playbook: str, path: str = "infra/site.yml", **extra_vars: Any) -> tuple[str, ...]:
    return hazards({path: playbook}, extra_vars)


def task(text: str) -> str:
    return f"- hosts: all\n  tasks:\n    - {text}\n"


def test_an_ordinary_tree_is_harmless() -> None:
    files = {
        "infra/site.yml": HARMLESS.replace("lookup of nothing", "nothing"),
        "infra/hosts": INVENTORY,
        "infra/hosts.yml": "all: {hosts: {web1: {ansible_host: 10.0.0.5, ansible_connection: ssh}}}",
        "infra/group_vars/all": "port: 80\nnames: [a, b]\n",
        "infra/templates/page.html.j2": "<q>Ask</q> {{ title }} {% for n in names %}{{ n }}{% endfor %}",
        "infra/main.tf": 'resource "terraform_data" "a" {}',
        "infra/roles/web/tasks/main.yml": "- ping:\n",
    }
    assert hazards(files, {"ports": [80], "name": "x"}) == ()


@pytest.mark.parametrize(
    "text",
    [
        task("{shell: rm -rf /srv, check_mode: false}"),
        task("{shell: rm -rf /srv, check_mode: 'no'}"),
        task('{shell: rm -rf /srv, "check\\x5fmode": false}'),
        task("{block: [{shell: x, check_mode: false}]}"),
        task("{debug: {msg: \"{{ lookup('pipe', 'id') }}\"}}"),
        task("{debug: {msg: \"{{ '}}' ~ query('pipe', 'id') }}\"}}"),
        task("{debug: {msg: \"{% set f = q %}{{ f('pipe', 'id') }}\"}}"),
        task("{ping: , when: \"lookup('pipe', 'id')\"}"),
        task("{debug: , loop: \"q('pipe', 'id')\"}"),
        task("{debug: {var: \"lookup('pipe', 'id')\"}}"),
        task("{debug: \"var=lookup('pipe','id')\"}"),
        task("{assert: {that: \"q('pipe', 'id')\"}}"),
        task("{debug: , with_pipe: id}"),
        task("{git: {repo: 'ext::sh -c id', dest: /x}}"),
        task("{custom_module: {}}"),
        task("{action: custom_module}"),
        task("{local_action: shell id}"),
        task("{ping: , environment: {PATH: /tmp/app}}"),
        task("{setup: {fact_path: /tmp/app}}"),
        task("{template: {src: /tmp/app/evil.j2, dest: /x}}"),
        task("{template: {src: ../evil.j2, dest: /x}}"),
        task("{template: 'src=/tmp/app/evil.j2 dest=/x'}"),
        task("{template: {src: a, dest: /x, variable_start_string: '<<'}}"),
        task("{include_tasks: /tmp/app/evil.yml}"),
        task("{include_tasks: evil.txt}"),
        task("{include_tasks: {file: '{{ where }}.yml'}}"),
        task("{include_tasks: .git/evil.yml}"),
        task("{include_vars: {dir: /tmp/app}}"),
        task("{import_role: {name: /tmp/app/role}}"),
        task("{set_fact: {ansible_ssh_common_args: -v}}"),
        task("{set_fact: {'ansible_ssh_{{ x }}': -v}}"),
        task("{set_fact: '{{ facts }}'}"),
        task("{add_host: 'name=x ansible_ssh_executable=/tmp/app/x'}"),
        task("{command: id, register: ansible_ssh_args}"),
        task("{debug: , loop: [1], loop_control: {loop_var: ansible_shell_executable}}"),
        task("{debug: {msg: x}, vars: {ansible_python_interpreter: /tmp/app/python}}"),
        task("{debug: {msg: '-o ProxyCommand=id'}}"),
        task("not a mapping"),
        task("{slurp: {src: /etc/shadow}}"),
        task("{ansible.builtin.getent: {database: shadow}}"),
        task("{copy: {src: /etc/shadow, dest: /x}}"),
        task("{copy: {src: '{{ playbook_dir }}/../../../etc/shadow', dest: /x}}"),
        task("{copy: {src: '{{ where }}', dest: /x}}"),
        task("{copy: 'src=/etc/shadow dest=/x'}"),
        task("{find: {paths: /root, contains: 'a.*'}}"),
        "- hosts: all\n  environment: {LD_PRELOAD: /tmp/app/x.so}\n",
        "- hosts: all\n  connection: community.docker.docker\n",
        "- hosts: all\n  strategy: mine\n",
        "- hosts: all\n  tasks: {shell: id}\n",
        "- hosts: all\n  roles: [{role: ../../evil}]\n",
        "- hosts: all\n  roles: [{vars: {}}]\n",
        "- hosts: all\n  vars_files: [/tmp/app/vars.yml]\n",
        "- hosts: all\n  module_defaults: {}\n",
        "- import_playbook: ../../other.yml\n",
        "all: {hosts: {-oProxyCmd: {}}}",
        "key: !custom [1]",
        "key: [unclosed",
        "[" * 5000,
    ],
)
def test_what_acts_or_shows_files_is_named(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("infra/library/ping.py", ""),
        ("infra/filter_plugins/x.py", ""),
        ("infra/roles/web/module_utils/x.py", ""),
        ("infra/collections/ansible_collections/a/b/x.yml", ""),
        ("infra/hosts", "web1 ansible_ssh_common_args='-v'"),
        ("infra/hosts.ini", "web1 ansible_connection=custom"),
        ("infra/hosts", "web1 ansible_host={{ x }}"),
        ("infra/hosts", "web1 ansible_host=-oX"),
        ("infra/hosts", "-oXYZ ansible_port=1"),
        ("infra/page.j2", "{{ lookup('pipe', 'id') }}"),
        ("infra/page.txt", "#jinja2: variable_start_string: '[%'\n[% lookup('pipe', 'id') %]"),
        ("infra/hosts.cfg", 'host ansible_shell_type="x: y"'),
    ],
)
def test_files_beside_the_playbook(path: str, text: str) -> None:
    assert found(text, path)


def test_extra_vars_are_examined_too() -> None:
    assert found("- hosts: all\n", ansible_ssh_extra_args="-v")
    assert found("- hosts: all\n", text="{{ lookup('pipe', 'id') }}")
    assert not found("- hosts: all\n", text="{{ inventory_hostname }}", ports=[1, 2])


def _doubled(levels: int, line: str) -> str:
    """A document whose last key holds its first value 2 ** levels times."""
    return "a0: &a0 {k: v}\n" + "".join(line.format(n, n - 1) for n in range(1, levels + 1))


MERGES = "a{0}: &a{0}\n  <<: [*a{1}, *a{1}]\n"
ALIASES = "a{0}: &a{0} [*a{1}, *a{1}]\n"


@pytest.mark.parametrize(
    ("text", "few"),
    [
        (_doubled(60, MERGES), _doubled(4, MERGES)),
        (_doubled(60, ALIASES), _doubled(4, ALIASES)),
        ("a: &a [*a]", "a: &a [b]\nc: *a"),
        ("a: " + "[" * 80 + "]" * 80, "a: " + "[" * 9 + "]" * 9),
        ("k: v\n" * 100_000, "k: v\n" * 100),
    ],
    ids=["merges", "aliases", "endless", "deep", "large"],
)
def test_a_text_that_grows_when_it_is_read_is_named_and_not_read(text: str, few: str) -> None:
    assert len(found(text)) == 1
    assert found(few) == ()


@pytest.mark.parametrize(
    ("path", "unit"), [("infra/a.txt", "{{"), ("infra/hosts", "\n"), ("infra/a.txt", "ansible_a= ")]
)
def test_a_long_text_takes_linear_time(path: str, unit: str) -> None:
    """Quadratic searches would take hours here: the test's own end is the proof."""
    assert found(unit * 200_000, path) in ((), (f"{path}: ansible_a = ''",))
    assert found("{{ lookup('pipe', 'id') }}" + unit * 200_000, path) != ()


def test_deep_extra_vars_are_named() -> None:
    value: dict[str, Any] = {}
    for _ in range(500):
        value = {"a": value}
    assert "too much to examine" in found("- hosts: all\n", deep=value)[0]
