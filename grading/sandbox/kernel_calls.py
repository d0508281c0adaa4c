"""The Linux calls that Python's standard library lacks: namespaces, mounts, privileges, a filter of system calls."""

import ctypes
import os
import platform
import struct
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 0x20
MS_BIND, MS_REC, MS_PRIVATE, MS_RELATIME = 0x1000, 0x4000, 0x40000, 0x200000

_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 4, 22, 24, 38, 47
_EPERM, _ENOLCK, _ENOSYS, _EAFNOSUPPORT = 1, 37, 38, 97
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_MAP_SHARED_ANONYMOUS = 0x21
_UNIX = 1  # the one family of sockets: others lead out, or hold memory of the kernel's that nothing counts
# commands of fcntl on a file that is the same for all submissions of a sandbox: get and set locks (also those of an
# open file), take a lease, wait for a folder to change, say how long what is written will live
_SHARED_BY_FCNTL = (5, 6, 7, 36, 37, 38, 1024, 1026, 1036, 1038)
# (audit architecture, numbers of the system calls that a submission has no use for, of those whose arguments decide)
_REFUSED = {
    "x86_64": (
        0xC000003E,
        {
            "ptrace": 101, "mount": 165, "umount2": 166, "swapon": 167, "pivot_root": 155, "chroot": 161,
            "unshare": 272,
            "setns": 308, "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298,
            "userfaultfd": 323, "io_uring_setup": 425, "memfd_create": 319, "memfd_secret": 447, "open_tree": 428,
            "move_mount": 429, "fsopen": 430, "fsmount": 432, "mount_setattr": 442, "process_vm_readv": 310,
            "process_vm_writev": 311, "kexec_load": 246, "init_module": 175, "finit_module": 313,
            "shmget": 29, "semget": 64, "msgget": 68, "inotify_init": 253, "inotify_init1": 294, "fanotify_init": 300,
            "io_setup": 206, "syslog": 103, "sched_setaffinity": 203,
        },
        {"clone": 56, "clone3": 435, "mmap": 9, "socket": 41, "socketpair": 53, "flock": 73, "fcntl": 72},
    ),
    "aarch64": (
        0xC00000B7,
        {
            "ptrace": 117, "mount": 40, "umount2": 39, "swapon": 224, "pivot_root": 41, "chroot": 51, "unshare": 97,
            "setns": 268, "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241,
            "userfaultfd": 282, "io_uring_setup": 425, "memfd_create": 279, "memfd_secret": 447, "open_tree": 428,
            "move_mount": 429, "fsopen": 430, "fsmount": 432, "mount_setattr": 442, "process_vm_readv": 270,
            "process_vm_writev": 271, "kexec_load": 104, "init_module": 105, "finit_module": 273,
            "shmget": 194, "semget": 190, "msgget": 186, "inotify_init1": 26, "fanotify_init": 262, "io_setup": 0,
            "syslog": 116, "sched_setaffinity": 122,
        },
        {"clone": 220, "clone3": 435, "mmap": 222, "socket": 198, "socketpair": 199, "flock": 32, "fcntl": 25},
    ),
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> int:
    result = int(getattr(_libc, name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def mount(kind: str, target: str, flags: int, options: str = "") -> None:
    """Mount a file system of the kernel's own, such as proc or tmpfs."""
    _call("mount", kind.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode() or None)


def make_read_only(target: str) -> None:
    """Let nothing of a mounted file change, such as its times; a device there works as ever."""
    flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_RELATIME
    _call("mount", None, target.encode(), None, ctypes.c_ulong(flags), None)


def make_mounts_private() -> None:
    """Let no mount of this namespace be seen in another."""
    _call("mount", None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)


def enter_own_namespaces(uid_inside: int) -> None:
    """Leave the namespaces of the parent; the next fork is process 1 of a new one.

    Raises:
        OSError: The kernel does not allow user namespaces here.
    """
    uid, gid = os.getuid(), os.getgid()
    kinds = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET
    _call("unshare", kinds)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid_inside} {uid} 1"),
        ("gid_map", f"{uid_inside} {gid} 1"),
    ):
        Path("/proc/self", name).write_text(text)


def set_hidden(hidden: bool) -> None:
    """Whether processes without privileges, even of the same user, are kept from looking into this one.

    A process that has changed its user is hidden, even from itself, until it says otherwise.
    """
    _call("prctl", _PR_SET_DUMPABLE, 0 if hidden else 1, 0, 0, 0)


def give_up_privileges() -> None:
    """Drop every capability for good, and refuse to gain any by executing a file."""
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break
    _libc.prctl(_PR_CAP_AMBIENT, 4, 0, 0, 0)  # 4: clear all
    header, nothing = struct.pack("Ii", 0x20080522, 0), b"\0" * 24
    _call("capset", header, nothing)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def refuse_system_calls() -> bool:
    """Refuse system calls that a submission has no use for; false where this machine's are not listed.

    Memory that belongs to no process (System V's, and shared mappings without a file, whose pages can be handed back
    one by one while they stay allocated) would be seen by no limit. Sockets of families without namespaces, such as
    vsock, would lead out, and those of netlink hold memory that nothing counts. Files of the system are the same for
    all submissions of a sandbox: a lock on one, or a watch over it, would carry a message from one to another.
    """
    known = _REFUSED.get(platform.machine())
    if known is None:
        return False
    architecture, refused, decided = known
    program = [_load(4), *_jump(architecture, 1, 0), _give(_ERRNO | _EPERM), _load(0)]
    program += [*_jump(0x40000000, 0, 1, code=0x35), _give(_ERRNO | _EPERM)]  # x32's numbers
    for number in sorted(refused.values()):
        program += [*_jump(number, 0, 1), _give(_ERRNO | _EPERM)]
    # glibc falls back to clone, whose flags can be read here: no new user namespace
    program += [*_jump(decided["clone3"], 0, 1), _give(_ERRNO | _ENOSYS)]
    program += _when(
        decided["clone"], [_load(16), *_jump(CLONE_NEWUSER, 0, 1, code=0x45), _give(_ERRNO | _EPERM), _give(_ALLOW)]
    )
    flags = [_load(40), _statement(0x54, _MAP_SHARED_ANONYMOUS)]  # those of the two bits that are set
    program += _when(
        decided["mmap"], [*flags, *_jump(_MAP_SHARED_ANONYMOUS, 0, 1), _give(_ERRNO | _EPERM), _give(_ALLOW)]
    )
    for name in ("socket", "socketpair"):
        program += _when(decided[name], [_load(16), *_jump(_UNIX, 0, 1), _give(_ALLOW), _give(_ERRNO | _EAFNOSUPPORT)])
    program += [*_jump(decided["flock"], 0, 1), _give(_ERRNO | _ENOLCK)]
    locks = [step for command in _SHARED_BY_FCNTL for step in (*_jump(command, 0, 1), _give(_ERRNO | _ENOLCK))]
    program += _when(decided["fcntl"], [_load(24), *locks, _give(_ALLOW)])
    program += [_give(_ALLOW)]
    code = ctypes.create_string_buffer(b"".join(program))
    descriptor = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    _call("prctl", _PR_SET_SECCOMP, 2, ctypes.c_char_p(descriptor), 0, 0)
    return True


def _statement(code: int, value: int) -> bytes:
    """One instruction of the kernel's packet filter, which also filters system calls."""
    return struct.pack("HBBI", code, 0, 0, value)


def _load(offset: int) -> bytes:
    """Read a word of the call: 0 its number, 4 the architecture, 16 and every eighth from there on its arguments."""
    return _statement(0x20, offset)


def _give(verdict: int) -> bytes:
    return _statement(0x06, verdict)


def _jump(value: int, if_true: int, if_false: int, code: int = 0x15) -> list[bytes]:
    return [struct.pack("HBBI", code, if_true, if_false, value)]


def _when(number: int, steps: list[bytes]) -> list[bytes]:
    """Steps that end with a verdict, for one system call."""
    return [*_jump(number, 0, len(steps)), *steps]
