"""What makes a change destructive: patterns searched in a command's text after it failed to be a read.

They can only make a verdict graver. "~" stands for some words of the same command, "@" for any text of it.
"""

import re

_LONGEST = 16_000  # characters looked at
DESTROYERS = (
    r"(?<![\w-])rm\s+~(?:-\w*[rR]|--recursive|--no-preserve-root)",
    r"(?<![\w-])rm\s+@[*?\[]",
    r"\b(?:rmdir|shred|srm|wipe|wipefs|blkdiscard|mkfs|mke2fs|mkswap|badblocks)\b",
    r"\bmkfs\.\w+",
    r"\b(?:shutdown|poweroff|halt|reboot|telinit|kexec)\b",
    r"\binit\s+[06]\b",
    r"\bsystemctl\s+~(?:poweroff|reboot|halt|kexec|rescue|emergency)\b",
    r"\bdd\b@\bof=",
    r">\s*/dev/(?:sd|nvme|vd|hd|xvd|mapper|disk|md|mmcblk|dm-|loop)",
    r"\b(?:tee|cp|mv)\b@\s/dev/(?:sd|nvme|vd|hd|xvd|mapper|disk|md|mmcblk|dm-)",
    r"\bfind\b@\s-delete\b",
    r"\bxargs\b@\b(?:rm|shred|unlink|kill)\b",
    r"-exec(?:dir)?\s+\S*\b(?:rm|shred|unlink)\b",
    r"\btruncate\b",
    r"\b(?:fdisk|sfdisk|sgdisk|gdisk|cfdisk|parted|partprobe)\b",
    r"\b(?:lv|vg|pv)remove\b|\b(?:lv|vg)reduce\b",
    r"\bcryptsetup\s+~(?:luksFormat|erase|luksErase|luksKillSlot|reencrypt|format)\b",
    r"\b(?:zfs|zpool)\s+~(?:destroy|rollback|labelclear)\b",
    r"\bbtrfs\s+~delete\b",
    r"\bmdadm\s+~(?:--zero-superblock|--stop|-S|--remove|--create|-C)\b",
    r"\b(?:qm|pct|ha-manager|pvesm|pveum|pvesh|pvecm)\s+~(?:destroy|delete|delnode|delsnapshot|rollback|"
    r"remove|free)\b",
    r"\bvirsh\s+~(?:destroy|undefine|vol-delete|pool-delete|snapshot-delete|net-destroy|net-undefine|vol-wipe)\b",
    r"\b(?:VBoxManage|vagrant|multipass|incus|lxc|gcloud|az|aws|hcloud|doctl|linode-cli|openstack|oci)\b@"
    r"\b(?:delete|destroy|purge|unregistervm|terminate\S*|deregister\S*|remove|rm|rb|delete-\S+)\b",
    r"\b(?:docker|podman|nerdctl|crictl|ctr)(?:-compose)?\s+~(?:rm|rmi|rmp|prune|down|remove|delete)\b",
    r"\bkubectl\s+~(?:delete|drain)\b",
    r"\bkubectl\b@\s--(?:prune|force)\b",
    r"\boc\s+~delete\b",
    r"\bhelm\s+~(?:uninstall|delete|del|un)\b",
    r"\b(?:argocd|flux|eksctl|kind|k3d|minikube|consul|nomad|vault|etcdctl)\b@\b(?:delete|del|destroy|"
    r"purge|uninstall|revoke)\b",
    r"\b(?:terraform|tofu|terragrunt|pulumi|cdktf)\s+~(?:destroy|down)\b",
    r"\b(?:terraform|tofu|terragrunt)\b@\s-destroy\b",
    r"\b(?:terraform|tofu)\s+~state\s+rm\b",
    r"\b(?:terraform|tofu)\s+~workspace\s+delete\b",
    r"(?i)\bdrop\s+(?:database|table|schema|user|role|index|view|collection|keyspace)\b",
    r"(?i)\bdelete\s+from\b",
    r"(?i)\btruncate\s+table\b",
    r"(?i)\b(?:flushall|flushdb)\b|\bdropdb\b|\bdropDatabase\b",
    r"\bmysqladmin\b@\b(?:drop|shutdown)\b",
    r"\bgit\b@\s(?:push\b@\s(?:-f\b|--force|--delete|--mirror)|reset\b@--hard|clean\b@-\w*[fdx])",
    r"\bgit\b@\s(?:filter-branch|filter-repo|reflog\s+(?:expire|delete))\b",
    r"\bgh\s+~delete\b",
    r"\brsync\b@\s--(?:delete|remove-source-files)",
    r"\b(?:userdel|groupdel|deluser|delgroup)\b",
    r"\bcrontab\b@\s-r\b",
    r"\b(?:apt|apt-get|aptitude|yum|dnf|zypper|snap|flatpak|pip3?|npm)\s+~(?:remove|purge|autoremove|"
    r"erase|uninstall)\b",
    r"\bdpkg\s+~(?:-r|-P|--remove|--purge)\b",
    r"\bpacman\s+~-R\w*",
    r"\bapk\s+~del\b",
    r"\bip6?tables\b@\s(?:-F|-X|--flush|--delete-chain)\b",
    r"\bnft\b@\b(?:flush|delete|destroy)\b",
    r"\bufw\b@\b(?:reset|disable)\b",
    r"\bjournalctl\b@--vacuum",
    r"\b(?:restic|borg)\b@\b(?:forget|prune|delete)\b",
    r"\bchattr\b@\s-\w*i",
    r"\b(?:chmod|chown|chgrp)\b@\s-\w*R\w*\b@\s/(?:\s|$)",
    r":\s*\(\s*\)\s*\{",
    r"\brmtree\b|\bos\.(?:remove|unlink|rmdir)\b|\bfs\.rm\w*",
    r"/proc/sysrq-trigger",
    r"\bcurl\b@(?:-X|--request)[=\s]*DELETE\b",
    r"\b(?:pkill|killall|killall5)\b|\bkill\s+~-1\b",
)


def _compiled(pattern: str) -> re.Pattern[str]:
    # bounded, so that a hostile script can't make the search quadratic
    pattern = pattern.replace(r"\s", "[ \\t]").replace("~", r"(?:[^\s;|&]+[ \t]+){0,20}?")
    return re.compile(pattern.replace("@", r"[^;|&\n]{0,300}"))


_COMPILED = tuple(_compiled(pattern) for pattern in DESTROYERS)


def destroyer(text: str) -> str | None:
    """The first known destroyer in the text, whatever quotes and escapes hide it; or None."""
    bare = text.replace("\\\n", " ").replace("${IFS}", " ").replace("$IFS", " ")
    bare = re.sub(r"['\"\\]", "", bare)[:_LONGEST]
    for pattern in _COMPILED:
        if match := pattern.search(bare):
            return " ".join(match[0].split())[:60]
    return None
