"""Which command lines only read: one line per program, `name: flags ; operands`. What isn't here is not a read.

A line that begins with blanks continues the one above.
Flags: `-[alh]` single letters that may be clustered · `-n:N` takes a value, attached or next · `-NUM` is like `-5` ·
`--all` · `--lines=N` takes a value, attached or next · `--color?W` may take an attached value · `-name:T` a long word
with one dash · `!-t` at least one of the flags marked so must be given.
Operands in order: `P` one, `P?` none or one, `P*` any number, `P+` at least one; nothing after `;` means none.
Matching is strictly by position: an optional operand may be missing only at the end, so `{show}? W*` never lets
another verb slip into `W*`.
Types: N number · T any literal text · W plain word · P file to read · L path to look at, never opened · H host ·
U web address · X anything at all · `{a|b}` one of these words · longer names are in `command_grammar.TYPES`.
"""

READS = """
cat: -[nbsAETv] --number ; P*
head: -[qv] -n:N -c:N --lines=N --bytes=N -NUM ; P*
tail: -[qv] -n:N -c:N --lines=N --bytes=N -NUM ; P*
tac: ; P*
nl: -[ba] ; P*
rev: ; P*
wc: -[clmwL] --lines --words --bytes ; P*
ls: -[aAlhrtSRd1iFnpsXUcuQLkG] --all --almost-all --human-readable --color?W --full-time --sort=W --time-style=T
  --group-directories-first --inode --recursive --reverse --directory --size ; L*
tree: -[adfhpugDsiCnF] -L:N -I:T -P:T --noreport --dirsfirst ; P*
stat: -[Lft] -c:T --format=T --printf=T --terse ; L+
file: -[bikLh] --mime-type --brief --mime ; L+
du: -[shackbmxSL0] -d:N --max-depth=N --summarize --human-readable --total --apparent-size --exclude=T --all ; L*
df: -[hTialkPmH] -t:W --human-readable --total --print-type --type=W --inodes --output?W ; L*
pwd: -[LP] ;
cd: ; L?
basename: -[a] -s:T ; T+
dirname: ; T+
realpath: -[ems] ; L+
readlink: -[fenm] ; L+
md5sum: -[bct] ; P*
sha1sum: -[bct] ; P*
sha256sum: -[bct] --check --quiet --status ; P*
sha512sum: -[bct] --check --quiet --status ; P*
cksum: ; P*
grep: -[EFPGivnclLohHqrRwxsaIZz] -e:T -A:N -B:N -C:N -m:N -NUM --include=T --exclude=T --exclude-dir=T --color?W
  --count --line-number --ignore-case --invert-match --only-matching --recursive --extended-regexp
  --fixed-strings --files-with-matches --no-filename --with-filename --quiet --max-count=N --context=N
  --after-context=N --before-context=N --word-regexp --text ; T? P*
egrep: -[ivnclohHqrwxs] -A:N -B:N -C:N -m:N ; T P*
fgrep: -[ivnclohHqrwxs] -A:N -B:N -C:N -m:N ; T P*
zgrep: -[ivnchHEF] ; T P*
zcat: ; P+
rg: -[invlcwFSNUHoq.] -A:N -B:N -C:N -g:T -t:W -e:T -m:N --files --hidden --no-ignore --glob=T --type=W --count
  --json --stats ; T? P*
sort: -[nrufhVsbdigMc] -k:W -t:T --reverse --unique --numeric-sort --key=W --field-separator=T
  --human-numeric-sort --version-sort ; P*
uniq: -[cdui] -f:N -s:N -w:N --count --repeated --unique ; P?
cut: -[sz] -d:T -f:W -c:W -b:W --delimiter=T --fields=W --characters=W --complement --only-delimited
  --output-delimiter=T ; P*
tr: -[dscC] --delete --squeeze-repeats --complement ; T T?
column: -[tnx] -s:T -c:N -o:T --table ; P*
paste: -[sz] -d:T ; P*
comm: -[123] ; P P
diff: -[uqrNwbBaiyst] -U:N --brief --unified?N --recursive --side-by-side --color?W --suppress-common-lines
  --ignore-all-space --exclude=T ; P P
cmp: -[ls] ; P P
fold: -[sb] -w:N ; P*
expand: -t:N ; P*
strings: -[a] -n:N ; P+
od: -[cxbv] -A:W -t:W -N:N -j:N ; P*
hexdump: -[Cvx] -n:N -s:N ; P*
xxd: -[bpu] -l:N -s:N -c:N ; P?
base64: -[di] -w:N --decode --wrap=N ; P?
sed: -[nEru] --quiet --regexp-extended ; SED P*
awk: -F:T ; AWK P*
gawk: -F:T ; AWK P*
jq: -[rcesSjnMCaR] --raw-output --compact-output --slurp --sort-keys --exit-status --null-input --tab --indent=N
  --monochrome-output ; T P*
find: -name:T -iname:T -path:T -ipath:T -wholename:T -regex:T -type:FINDTYPE -xtype:FINDTYPE -maxdepth:N
  -mindepth:N -mtime:N -mmin:N -atime:N -ctime:N -cmin:N -amin:N -size:W -newer:P -newermt:T -user:W -group:W
  -uid:N -gid:N -perm:PERM -links:N -inum:N -empty -readable -writable -executable -not -and -or -a -o -print
  -print0 -ls -prune -xdev -mount -depth -true -false -printf:T -nouser -nogroup -daystart -follow ; FINDPATH*
which: -[a] ; W+
type: -[atp] ; W+
command: !-[vV] ; W+
true: ;
false: ;
echo: ; X*
printf: ; FORMAT X*
sleep: ; N
seq: -[w] -s:T -f:T ; N N? N?
date: -[uR] -d:T -I?W -r:P --utc --universal --date=T --iso-8601?W --rfc-3339=W --rfc-email --reference=P ;
  DATEFORMAT?
cal: -[3y1m] ; N? N?
test: -e:L -f:L -d:L -r:L -w:L -x:L -s:L -L:L -h:L -n:T -z:T ;
uptime: -[ps] --pretty --since ;
uname: -[asnrvmpio] --all --kernel-release --machine --kernel-name ;
arch: ;
nproc: --all ;
hostname: -[fiIdsA] --fqdn --ip-address --all-ip-addresses --short --domain ;
whoami: ;
id: -[ugnGrz] --user --group --name --groups ; W?
groups: ; W?
logname: ;
tty: ;
locale: -[a] ;
getent: ; {passwd|group|hosts|ahosts|ahostsv4|ahostsv6|services|protocols|networks|netgroup} W*
printenv: ; W*
env: ;
w: -[hsf] ; W?
who: -[abHqru] ;
last: -[axFiw] -n:N -NUM ; W*
lastlog: -u:W ;
users: ;
ps: -[AaefFlHjLTMyw] -p:W -C:W -u:W -U:W -o:T -q:W --sort=T --forest --no-headers --pid=W --ppid=W --user=W ;
  PSBSD? {o|p}? W?
pgrep: -[aflxovnci] -u:W -P:W -d:T --list-name --list-full --full --exact ; T?
pidof: -[sx] ; W+
pstree: -[paulhnT] ; W?
top: !-[b] -[cHi] -n:N -o:W -p:W -w:N -d:N ;
free: -[hbkmgtlwv] --human --mega --giga --total ;
vmstat: -[asdnSwt] ; N? N?
iostat: -[xkmchdtyz] -p:W ; N? N?
mpstat: -P:W ; N? N?
lscpu: -[eJpy] --json --extended?W --parse?W ;
lsmem: -[aJ] --json ;
lsblk: -[fpaJlmntdbOST] -o:W --output=W --json --fs --all --paths --nodeps --bytes --list ; W*
lspci: -[vnkmtD] -s:W ;
lsusb: -[vt] -s:W ;
lsmod: ;
lsns: -[lJ] -t:W ;
lsof: -[nPtlaUR] -i?T -p:W -u:W -c:W ; L*
findmnt: -[lnoJrRt] -o:W -t:W --json --target=P --df ; L*
mount: -[lv] ;
blockdev: !--getsize64 !--getss !--getro ; W+
swapon: !-[s] !--show?W --noheadings --bytes ;
dmidecode: -[q] -s:W -t:W ;
sensors: -[AufjJ] ;
nvidia-smi: -[Lq] --query-gpu=W --format=W --list-gpus ;
getfacl: -[pnR] ; L+
lsattr: -[aRd] ; L*
getenforce: ;
sestatus: -[v] ;
getcap: -[r] ; P+
namei: -[lmov] ; L+
ss: -[tulnpaeimo46sHrxOW] --tcp --udp --listening --numeric --processes --summary --no-header ; SSFILTER*
netstat: -[tulnpaesric46W] ;
ip: -[46sdojpro] -br -brief -c -color -json -stats -details -oneline ;
  {addr|address|a|link|l|route|r|neigh|neighbor|n|rule|maddr|tunnel|netns} {show|list|ls|get}? W*
ifconfig: -[as] ; IFNAME?
route: !-[n] -[e] ;
arp: !-[an] -[ve] ;
bridge: -[j] ; {link|fdb|vlan|mdb} {show}? IFNAME?
ethtool: -[ikSgl] ; IFNAME
ping: -[nqv46D] -c:N -W:N -w:N -i:N -s:N -I:W ; H
ping6: -[nqv] -c:N -W:N -w:N -i:N ; H
traceroute: -[nI46T] -m:N -w:N -q:N -p:N ; H
tracepath: -[nb46] -m:N ; H
mtr: !-[r] -[wnbz46] -c:N !--report --report-wide --no-dns --report-cycles=N ; H
dig: -[46] -x:H -t:W -p:N ; DIGARG+
host: -[av46] -t:W -W:N ; H H?
nslookup: -type=W -query=W ; H H?
whois: ; H
resolvectl: --no-pager ; {status|query|dns|domain|statistics} H*
nc: !-[z] -[vnu46] -w:N ; H PORT+
ncat: !-[z] -[vnu46] -w:N ; H PORT+
curl: -[sSfLIikv46N] -m:N -w:WRITEOUT -H:HEADER -A:T -e:T -r:W --silent --show-error --fail --location --head
  --include --insecure --max-time=N --connect-timeout=N --retry=N --retry-delay=N --compressed --verbose
  --write-out=WRITEOUT --header=HEADER --user-agent=T --ipv4 --ipv6 --http1.1 --http2 --noproxy=T -o:NULLFILE
  --output=NULLFILE --fail-with-body --no-progress-meter ; U+
wget: -[qSv] !-O:STDOUT --timeout=N -T:N --tries=N -t:N !--spider --server-response --no-check-certificate
  --no-verbose ; U+
openssl version: -[a] ;
openssl x509: -in:P -noout -text -subject -issuer -dates -startdate -enddate -fingerprint -serial -sha256
  -checkend:N -inform:W -ext:W -pubkey ;
openssl req: -in:P -noout -text -subject -verify ;
openssl s_client: -connect:H -servername:H -showcerts -brief -starttls:W -tls1_2 -tls1_3 -verify_return_error ;
openssl dgst: -sha256 -sha512 -md5 ; P+
ssh-keygen: !-[l] -[v] -f:P -E:W ;
ssh-keyscan: -t:W -p:N -T:N -4 -6 -H ; H+
systemctl: -[laq] -n:N -o:W -p:W -t:W --no-pager --full --all --lines=N --type=W --state=W --failed --plain
  --no-legend --quiet --property=W --value --user --system --output=W ; SYSTEMCTLREAD? W*
journalctl: -[bkxerqa] -n:N -u:W -t:W -p:W -o:W -g:T -S:T -U:T --no-pager --unit=W --since=T --until=T --lines=N
  --priority=W --boot --dmesg --output=W --grep=T --reverse --utc --no-hostname --disk-usage --list-boots
  --quiet --catalog --identifier=W --user --system ; JOURNALMATCH*
systemd-analyze: --no-pager ; {time|blame|critical-chain|calendar|timestamp|timespan}? W*
hostnamectl: ; {status|hostname}?
timedatectl: ; {status|show|list-timezones|timesync-status}?
localectl: ; {status|list-locales|list-keymaps}?
loginctl: --no-pager ; {list-sessions|list-users|session-status|user-status}? W*
networkctl: --no-pager ; {list|status}? W*
nmcli: -[tpfgm] -f:W -g:W ; {device|dev|d|connection|con|c|general|g} {status|show}? W*
chronyc: -[n] ; {tracking|sources|sourcestats|activity}
dmesg: -[TktxLePu] -l:W -f:W --ctime --level=W --facility=W --decode --human --nopager ;
sysctl: -[aneNb] --all --values ; SYSCTLKEY*
crontab: !-[l] -u:W ;
atq: ;
iptables: !-[LS] -[nvx] -t:W !--list !--list-rules --line-numbers --numeric --verbose ; CHAIN?
ip6tables: !-[LS] -[nvx] -t:W !--list !--list-rules --line-numbers --numeric --verbose ; CHAIN?
iptables-save: -[c] -t:W ;
nft: -[ansj] ; {list} {ruleset|tables|table|chain|chains|sets|set|counters} W*
ufw: ; {status} {verbose|numbered}?
firewall-cmd: !--list-all !--state !--list-services !--list-ports !--get-active-zones !--get-default-zone
  !--list-all-zones --zone=W ;
fail2ban-client: ; {status|ping|version} W?
apt: -[aq] --installed --upgradable --all-versions ; {list|show|search|policy|depends|rdepends} W*
apt-cache: ; {policy|show|search|showpkg|depends|rdepends|madison|stats|pkgnames} W*
apt-mark: ; {showhold|showmanual|showauto} W*
dpkg: !-[lLsS] !--list !--status !--listfiles !--search !--print-architecture !--get-selections ; T*
dpkg-query: !-[WlLsS] -f:T --showformat=T ; W*
rpm: !-qa !-q !-ql !-qi !-qf !-qc !-qR ; W*
apk: -[v] ; {info|list|policy|version} W*
pacman: !-Q !-Qi !-Ql !-Qs !-Qe !-Si !-Ss ; W*
snap: ; {list|info|version|services} W*
flatpak: ; {list|info|remotes} W*
pip: ; {list|show|freeze|check} W*
pip3: ; {list|show|freeze|check} W*
npm: ; {ls|list} W*
git log: --oneline -n:N -NUM --graph --decorate --all --format=GITFORMAT --pretty?GITFORMAT --since=T --until=T
  --author=T --grep=T --max-count=N --no-merges --name-only --stat --date=W --reverse ; GITREV*
git rev-parse: --short --abbrev-ref --verify --show-toplevel --git-dir --is-inside-work-tree -q ; GITREV*
git branch: -[avr] --list --all --show-current -vv --no-color ;
git tag: !-[l] !--list ; T?
git remote: !-[v] ;
git ls-tree: -[rtdl] --name-only ; GITREV+
git ls-files: ; GITREV*
git shortlog: -[sne] ; GITREV+
git describe: --tags --always --long --all ; GITREV*
docker ps: -[aqls] --all --no-trunc --quiet --format=T --filter=T -f:T --size --last=N -n:N ;
docker images: -[aq] --all --no-trunc --quiet --format=T --filter=T --digests ; W?
docker logs: -[t] -n:W --tail=W --since=T --until=T --timestamps --details ; W
docker inspect: -f:T --format=T -s --size --type=W ; W+
docker version: -f:T --format=T ;
docker info: -f:T --format=T ;
docker stats: !--no-stream -a --all --format=T --no-trunc ; W*
docker top: ; W
docker port: ; W W?
docker diff: ; W
docker history: -q --no-trunc --format=T ; W
docker container: -[aq] --format=T --filter=T --no-trunc ; {ls|list|inspect|top|port} W*
docker image: -[aq] --format=T --filter=T ; {ls|list|inspect|history} W*
docker network: -[q] -f:T --format=T --filter=T --no-trunc ; {ls|list|inspect} W*
docker volume: -[q] -f:T --format=T --filter=T ; {ls|list|inspect} W*
docker system: -[v] --format=T ; {df|info}
docker node: -f:T --format=T ; {ls|inspect|ps} W*
docker service: -f:T --format=T --tail=W --since=T --no-trunc ; {ls|inspect|ps|logs} W*
docker compose: -f:P --project-directory=P -p:W -a --all -q --quiet --format=W --tail=W --services --no-color
  --since=T ; {ps|logs|ls|images|top|version|port} W*
docker-compose: -f:P -p:W --tail=W --no-color -q ; {ps|logs|images|top|version|port} W*
podman: -[aq] --all --format=T --no-trunc --tail=W ; {ps|images|logs|inspect|version|info|port|top} W*
crictl: -[aq] ; {ps|pods|images|info|version|inspect} W*
helm: -[aAn] -n:W --namespace=W --all-namespaces -o:W --output=W --kube-context=W ;
  {list|ls|status|history|version} W?
helm get: -n:W --namespace=W -o:W --revision=N ; {values|manifest|notes|hooks|all|metadata} W
kubectl get: KUBE -A --all-namespaces --show-labels --no-headers --sort-by=T --field-selector=T
  --ignore-not-found --show-kind -L:W --output-watch-events ; W+
kubectl describe: KUBE -A --all-namespaces --show-events?W --field-selector=T ; W+
kubectl logs: KUBE -p --previous -c:W --container=W --tail=W --since=W --timestamps --all-containers?W --prefix
  --max-log-requests=N --limit-bytes=N ; W*
kubectl top: KUBE -A --all-namespaces --containers --sort-by=W --no-headers ; {pod|pods|node|nodes} W*
kubectl events: KUBE -A --all-namespaces --for=W --types=W ;
kubectl version: --client?W -o:W --output=W --context=W ;
kubectl cluster-info: --context=W ;
kubectl api-resources: -o:W --output=W --namespaced?W --api-group=W --verbs=W --context=W ;
kubectl api-versions: --context=W ;
kubectl explain: --recursive?W --api-version=W --context=W ; W
kubectl config: --minify?W -o:W --output=W --flatten?W ; {view|get-contexts|current-context|get-clusters|get-users}
kubectl auth: KUBE -A --all-namespaces --list?W -q ; {can-i|whoami} W*
kubectl rollout: KUBE --revision=N --timeout=W --watch?W ; {status|history} W+
terraform version: -json ;
terraform output: -json -raw -no-color -state:P ; W?
terraform state: -no-color -id=W ; {list} T*
terraform providers: ;
terraform fmt: !-check -diff -recursive -no-color ; P*
terraform workspace: -no-color ; {list|show}
qm: --verbose ; {list|status|config|pending|listsnapshot} N?
pct: --verbose ; {list|status|config|pending|listsnapshot} N?
pvesh: --output-format=W ; {get|ls} P
pvesm: --storage=W --content=W ; {status|list} W?
pveversion: -[v] ;
pvecm: ; {status|nodes}
ha-manager: ; {status|config}
pveperf: ; P?
zfs: -[Hprd] -o:W -s:W -t:W -d:N ; {list|get} T*
zpool: -[HvPLx] -o:W ; {status|list|get|history} W*
lvs: -[avn] -o:W --units=W --noheadings --segments ; W*
vgs: -[av] -o:W --units=W --noheadings ; W*
pvs: -[av] -o:W --units=W --noheadings ; W*
lvdisplay: -[cmv] ; W*
vgdisplay: -[cv] ; W*
pvdisplay: -[cv] ; W*
mdadm: !--detail !-D !--examine !-E ; W+
smartctl: !-[aHiAx] !--all !--health !--info !--attributes !--scan --xall -d:W -j --json ; W?
btrfs: ; {filesystem|fi|subvolume|device|scrub} {show|df|usage|list|stats|status} P?
virsh: --all ; {list|dominfo|domstate|nodeinfo|net-list|pool-list|vcpuinfo|domblklist|domiflist} W*
wg: ; {show}? IFNAME?
tailscale: ; {status|ip|version|netcheck}
nginx: !-[vV] ;
apachectl: !-[vVS] ;
haproxy: !-[v] ;
named-checkzone: ; W P
sshd: !-[T] ;
redis-cli: -h:H -p:N ; {ping|PING|info|INFO|dbsize|DBSIZE} W?
pg_isready: -[q] -h:H -p:N -U:W -d:W ;
consul: ; {members|version|info}
vault: ; {status|version}
nomad: ; {version}
etcdctl: ; {version}
"""

# programs of which a lone version or help flag is a read
VERSIONED = frozenset(
    "python python3 pip pip3 node npm rustc cargo java ruby perl php gcc make cmake git docker docker-compose podman "
    "kubectl helm terraform tofu packer ansible ansible-playbook ansible-galaxy ansible-lint ansible-inventory nginx "
    "redis-server redis-cli psql mysql sqlite3 ssh curl wget openssl bash zsh jq yq rsync tar gzip sed awk grep find "
    "systemctl caddy haproxy vim nano tmux ufw apt dpkg pacman apk uv poetry minikube k3s k9s argocd flux vault "
    "consul nomad traefik prometheus grafana-server node_exporter restic borg zfs qemu-img virsh tflint shellcheck "
    "yamllint hadolint trivy cloudflared tailscale wg".split()
)
VERSION_FLAGS = frozenset(("--version", "--help"))
VERSION_LETTER = frozenset(("python", "python3", "ssh", "curl", "ansible"))  # -V elsewhere may mean another thing
