"""A real Slurm on this machine alone: munge, MariaDB, slurmdbd, slurmctld, slurmd, and GPUs that are names only.

Only for machines that are thrown away: it installs packages, writes into the system and needs root, so it asks first.
`python tests/cluster/slurm.py up` and `down` do by hand what the tests do; `ask` only asks.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge", "slurmdbd", "mariadb-server")
MARK = "# written by soundprompt's tests"
CONF = Path("/etc/slurm")
STATE = Path("/var/tmp/soundprompt-slurm")  # not pytest's own folder: the database's user must get into it
CHANGES = f"""The tests of the cluster start a real Slurm on this machine, as root. They
  install   {" ".join(PACKAGES)}, with apt-get, unless they are there
  write     {CONF}, which is taken away again; what munge and MariaDB keep in /etc/munge, /var/lib/munge,
            /var/log/munge, /run/munge and /run/mysqld; and {STATE}
  start     munged, mariadbd, slurmdbd, slurmctld, slurmd; all but munged end with the tests"""
AGREED = ("CI", "YES")  # either variable answers the question

# DefMemPerCPU: without it a job takes the memory of the whole node. MinJobAge: finished jobs stay visible.
# config_overrides: more processors than there are, so that small jobs run side by side.
SLURM_CONF = """{mark}
ClusterName=soundprompt
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={state}/controller
SlurmdSpoolDir={state}/node
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={host}
AccountingStorageTRES=gres/gpu
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=300
DefMemPerCPU=200
KillWait=10
ReturnToService=2
SlurmdTimeout=30
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} CPUs=8 RealMemory={memory} Gres=gpu:pretend:2 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=1-00:00:00 State=UP PriorityTier=1
PartitionName=gpu Nodes={host} MaxTime=1-00:00:00 State=UP PriorityTier=1 GraceTime=15
PartitionName=urgent Nodes={host} MaxTime=1-00:00:00 State=UP PriorityTier=9 PreemptMode=OFF
"""
DBD_CONF = """{mark}
DbdHost={host}
SlurmUser=root
AuthType=auth/munge
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=pretend
StorageLoc=slurm_acct_db
LogFile={state}/slurmdbd.log
PidFile={state}/slurmdbd.pid
"""


class Unavailable(Exception):
    """Slurm cannot be set up here; the message says why."""


class Slurm:
    """The daemons, each known by the pid file that it writes."""

    def __init__(self, state: Path):
        self.state, self.host = state, socket.gethostname().partition(".")[0]

    # ---- up
    def up(self) -> None:
        """Installs what is missing and starts everything. Raises Unavailable."""
        if not agreed():
            raise Unavailable("nobody has agreed to what these tests install and write: make test-cluster asks")
        if os.geteuid() != 0:
            raise Unavailable("a test cluster needs root")
        conf = CONF / "slurm.conf"
        if conf.exists() and MARK not in conf.read_text():
            raise Unavailable(f"{conf} belongs to somebody: this machine has a Slurm of its own")
        install()
        for name in ("controller", "node"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        self.write_configuration()
        start_munge()
        self.start_database()
        self.start("slurmdbd")
        wait(lambda: good("sacctmgr", "-n", "list", "cluster"), "slurmdbd to answer")
        self.add_account()
        self.start_controller()
        self.start("slurmd")
        wait(self.node_ready, "the node to be ready")
        self.forget_jobs()

    def forget_jobs(self) -> None:
        """Tests that were killed leave jobs in the queue: they would run, and preempt, among those of the next."""
        run("scancel", "--user=root")
        wait(lambda: not run("squeue", "-h"), "left-over jobs to end")

    def write_configuration(self) -> None:
        CONF.mkdir(exist_ok=True)
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        facts = {"mark": MARK, "host": self.host, "state": self.state, "memory": int(pages / 2**20 * 0.9)}
        (CONF / "slurm.conf").write_text(SLURM_CONF.format(**facts))
        (CONF / "slurmdbd.conf").write_text(DBD_CONF.format(**facts))
        (CONF / "slurmdbd.conf").chmod(0o600)
        for number in range(2):  # a GPU is a device file; a bare count is refused by the node
            device = self.state / f"gpu{number}"
            if not device.exists():
                os.mknod(device, 0o20666, os.makedev(1, 3))
        gres = f"{MARK}\nNodeName={self.host} Name=gpu Type=pretend File={self.state}/gpu[0-1]\n"
        (CONF / "gres.conf").write_text(gres)

    def start_database(self) -> None:
        """MariaDB of its own, on a socket only; the socket's default place is where slurmdbd looks."""
        data, sockets = self.state / "database", Path("/run/mysqld")
        sockets.mkdir(exist_ok=True)
        for folder in (data, sockets):
            folder.mkdir(exist_ok=True)
            shutil.chown(folder, "mysql", "mysql")
        for folder in (self.state, *self.state.parents):  # pytest's folders are closed to other users
            if folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
        if not (data / "mysql").exists():
            run("mariadb-install-db", "--user=mysql", f"--datadir={data}", "--auth-root-authentication-method=socket")
        if self.pid("mariadb") is None:
            options = ("--no-defaults", "--user=mysql", f"--datadir={data}", "--skip-networking")
            options += ("--socket=/run/mysqld/mysqld.sock", "--innodb-buffer-pool-size=64M")
            options += ("--innodb-lock-wait-timeout=900", f"--pid-file={data}/mariadb.pid")
            with open(self.state / "mariadb.log", "w") as log:
                server = subprocess.Popen(("mariadbd", *options), stdout=log, stderr=log, start_new_session=True)
            (self.state / "mariadb.pid").write_text(str(server.pid))
        wait(lambda: good("mariadb", "--no-defaults", "-e", "select 1"), "MariaDB to answer")
        user = "create user if not exists slurm@localhost identified by 'pretend'"
        grant = "grant all on slurm_acct_db.* to slurm@localhost"
        run("mariadb", "--no-defaults", "-e", f"create database if not exists slurm_acct_db; {user}; {grant}")

    def add_account(self) -> None:
        if "soundprompt" not in run("sacctmgr", "-n", "list", "cluster", "format=cluster%20"):
            run("sacctmgr", "-i", "add", "cluster", "soundprompt")
            run("sacctmgr", "-i", "add", "account", "lab", "Description=tests", "Organization=tests")
            subprocess.run(("sacctmgr", "-i", "add", "user", "root", "Account=lab"), capture_output=True)

    def start(self, daemon: str) -> None:
        if self.pid(daemon) is None:
            run(daemon)

    def start_controller(self) -> None:
        self.start("slurmctld")
        wait(lambda: "UP" in run("scontrol", "ping"), "slurmctld to answer")

    def node_ready(self) -> bool:
        state = run("sinfo", "-h", "-p", "cpu", "-o", "%t").strip()
        if state.startswith(("down", "drain", "unk")):
            subprocess.run(("scontrol", "update", f"nodename={self.host}", "state=resume"), capture_output=True)
        return state in ("idle", "mix", "alloc")

    # ---- down
    def down(self) -> None:
        """Cancels every job and stops what `up` started."""
        subprocess.run(("scancel", "--user=root"), capture_output=True, timeout=60)
        for daemon in ("slurmd", "slurmctld", "slurmdbd", "mariadb"):
            self.stop(daemon)
        for name in ("slurm.conf", "slurmdbd.conf", "gres.conf"):
            (CONF / name).unlink(missing_ok=True)

    def stop(self, daemon: str, how: int = signal.SIGTERM) -> None:
        number = self.pid(daemon)
        if number is not None:
            os.kill(number, how)
            wait(lambda: self.pid(daemon) is None, f"{daemon} to stop")

    def pid(self, daemon: str) -> int | None:
        """Its process, None when it does not run."""
        try:
            number = int((self.state / f"{daemon}.pid").read_text())
            command = Path(f"/proc/{number}/stat").read_text()
        except (OSError, ValueError):
            return None
        return None if command.rpartition(")")[2].split()[0] == "Z" else number


def install() -> None:
    """Debian's packages. Raises Unavailable."""
    if all(map(shutil.which, ("slurmctld", "munged", "slurmdbd", "mariadbd"))):
        return
    if not shutil.which("apt-get"):
        raise Unavailable("Slurm is not installed, and there is no apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        answer = subprocess.run(["apt-get", "-qq", *command], env=environment, capture_output=True, text=True)
        if answer.returncode:
            raise Unavailable(f"apt-get {command[0]} failed: {answer.stderr.strip()[-300:]}")


def start_munge() -> None:
    """Without systemd nobody makes its folder."""
    if munge_answers():
        return
    for folder, mode in (("/run/munge", 0o755), ("/var/log/munge", 0o700), ("/var/lib/munge", 0o700)):
        Path(folder).mkdir(exist_ok=True)
        Path(folder).chmod(mode)
        shutil.chown(folder, "munge", "munge")
    if not Path("/etc/munge/munge.key").exists():
        run("runuser", "-u", "munge", "--", "/usr/sbin/mungekey")
    run("runuser", "-u", "munge", "--", "/usr/sbin/munged")
    wait(munge_answers, "munge to answer")


def munge_answers() -> bool:
    return subprocess.run("munge -n | unmunge", shell=True, capture_output=True).returncode == 0


def run(*command: str) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if answer.returncode:
        raise Unavailable(f"{' '.join(command[:4])}: {(answer.stderr or answer.stdout).strip()[-500:]}")
    return answer.stdout


def good(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def wait(until: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Raises Unavailable when it does not come to be."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if until():
                return
        except Unavailable:
            pass
        time.sleep(0.2)
    raise Unavailable(f"waited {seconds:.0f} s for {what}")


def agreed() -> bool:
    return any(os.environ.get(name, "").lower() in ("1", "yes", "true") for name in AGREED)


def ask() -> None:
    """Says what will be changed; ends the program unless the user agrees."""
    print(CHANGES)
    if agreed():
        return
    if not sys.stdin.isatty():
        sys.exit("nothing was changed. To agree: YES=1")
    if input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        sys.exit("nothing was changed")


if __name__ == "__main__":
    ask()
    os.environ["YES"] = "1"
    if sys.argv[1] != "ask":
        getattr(Slurm(STATE), sys.argv[1])()
