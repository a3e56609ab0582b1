"""The way in through ptrace: x86-64 Linux, CPython before 3.14.

The main thread alone is stopped, for about a millisecond, and made to call
``Py_AddPendingCall(PyRun_SimpleString, text)``. That needs neither the GIL nor memory of the program; CPython runs
the text later, between two lines of the main thread, as it runs a signal handler. Everything slow is done before the
stop. While it is stopped, signals wait in the kernel; registers, vector registers and the signal mask are then put
back, so the program goes on as if nothing had been.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from monitor.inject.image import find_instruction
from monitor.inject.target import InjectionError, Target

_CONT, _SINGLESTEP, _GETREGS, _SETREGS, _DETACH = 7, 9, 12, 13, 17
_GETREGSET, _SETREGSET, _SEIZE, _INTERRUPT = 0x4204, 0x4205, 0x4206, 0x4207
_GETSIGMASK, _SETSIGMASK = 0x420A, 0x420B
_EVENT_STOP = 128
_NT_X86_XSTATE = 0x202
_WALL = 0x40000000
_SYSCALL = b"\x0f\x05"
_MMAP, _READ_WRITE, _PRIVATE_ANONYMOUS = 9, 3, 0x22
_NONE = 2**64 - 1
_PAGE = 4096
#: The largest area of vector registers that exists takes 11 KiB.
_XSTATE_BYTES = 65536
#: Signals that the program's own instructions raise; one held back would end it.
_OWN_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP)
_PATIENCE_S = 2.0

#: ``struct user_regs_struct``, in its order.
_REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
)  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in _REGISTERS]


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def inject(target: Target, text: str) -> float:
    """Have the text run by the process; returns for how long it was stopped, in seconds.

    Raises OSError where the process may not be traced, InjectionError where it did not work.
    """
    pid, data = target.pid, text.encode() + b"\0"
    system_call = find_instruction(pid, _SYSCALL)
    if not system_call:
        raise InjectionError("no C library was found in it")
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        began = time.perf_counter()
        with _stopped(pid) as stop:
            address = stop.map_memory(system_call, len(data))
            memory.seek(address)
            memory.write(data)
            stack = ((stop.registers.rsp - 1024) & ~0xF) - 8
            memory.seek(stack)
            memory.write(bytes(8))  # the return address: nowhere, which stops the call where it ends
            is_refused = stop.call(target.add_pending_call, target.run_string, address, stack)
        stopped_s = time.perf_counter() - began
    if is_refused:
        raise InjectionError("its queue of calls is full: its main thread has run no Python for a while")
    return stopped_s


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[_Stop]:
    """The main thread stopped, and afterwards as it was."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # Ctrl-C must not come in between
    try:
        _ptrace(_SEIZE, pid)
        try:
            yield from _seized(pid)
        finally:
            with contextlib.suppress(OSError):  # it has ended
                _ptrace(_DETACH, pid)
    except TimeoutError as error:
        raise InjectionError("its main thread does not stop, it is deep in the kernel") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _seized(pid: int) -> Iterator[_Stop]:
    _ptrace(_INTERRUPT, pid)
    while (stop := _wait(pid))[1] != _EVENT_STOP:
        _ptrace(_CONT, pid, 0, stop[0])
    if stop[0] != signal.SIGTRAP:
        raise InjectionError("it has been stopped; continue it first")
    state = _Stop(pid)
    try:
        yield state
    finally:
        state.restore()


class _Stop:
    """The stopped main thread: what it was, and what can be done with it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._late: list[int] = []
        self.registers = _Registers()
        self._area = ctypes.create_string_buffer(_XSTATE_BYTES)
        self._vector = _Vector(ctypes.addressof(self._area), _XSTATE_BYTES)
        self._mask = ctypes.c_uint64()
        _ptrace(_GETREGS, pid, 0, ctypes.addressof(self.registers))
        _ptrace(_GETREGSET, pid, _NT_X86_XSTATE, ctypes.addressof(self._vector))
        _ptrace(_GETSIGMASK, pid, 8, ctypes.addressof(self._mask))
        held_back = ctypes.c_uint64(_NONE & ~sum(1 << (number - 1) for number in _OWN_FAULTS))
        _ptrace(_SETSIGMASK, pid, 8, ctypes.addressof(held_back))

    def restore(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has been killed
            _ptrace(_SETSIGMASK, self._pid, 8, ctypes.addressof(self._mask))
            _ptrace(_SETREGSET, self._pid, _NT_X86_XSTATE, ctypes.addressof(self._vector))
            _ptrace(_SETREGS, self._pid, 0, ctypes.addressof(self.registers))
            for number in self._late:
                os.kill(self._pid, number)

    def map_memory(self, system_call: int, size: int) -> int:
        """The address of new pages in the program."""
        whole = -(-size // _PAGE) * _PAGE
        self._set(
            rip=system_call, rax=_MMAP, rdi=0, rsi=whole, rdx=_READ_WRITE, r10=_PRIVATE_ANONYMOUS, r8=_NONE, r9=0
        )
        self._until(_SINGLESTEP, signal.SIGTRAP)
        address = int(self._get().rax)
        if address > _NONE - _PAGE:
            raise InjectionError(f"it got no memory ({os.strerror(2**64 - address)})")
        return address

    def call(self, function: int, first: int, second: int, stack: int) -> int:
        """Call ``int function(first, second)``, which returns to address 0 and faults there."""
        self._set(rip=function, rsp=stack, rdi=first, rsi=second, rax=0)
        self._until(_CONT, signal.SIGSEGV)
        after = self._get()
        if after.rip != 0:
            raise InjectionError(f"the call failed at {after.rip:#x}")
        return int(after.rax & 0xFFFFFFFF)

    def _until(self, how: int, expected: int) -> None:
        while True:
            _ptrace(how, self._pid)
            try:
                number, event = _wait(self._pid)
            except TimeoutError:
                _ptrace(_INTERRUPT, self._pid)  # registers can be put back only while it is stopped
                _wait(self._pid)
                raise
            if number == expected and not event:
                return
            if not event:
                self._late.append(number)

    def _set(self, **changed: int) -> None:
        registers = _Registers.from_buffer_copy(self.registers)
        registers.orig_rax = _NONE  # no system call that the kernel would start anew
        for name, value in changed.items():
            setattr(registers, name, value)
        _ptrace(_SETREGS, self._pid, 0, ctypes.addressof(registers))

    def _get(self) -> _Registers:
        registers = _Registers()
        _ptrace(_GETREGS, self._pid, 0, ctypes.addressof(registers))
        return registers


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    call = _libc.ptrace
    call.restype, call.argtypes = ctypes.c_long, [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if call(request, pid, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _wait(pid: int) -> tuple[int, int]:
    """The next stop: its signal and its event. Raises TimeoutError or, if it has ended, ProcessLookupError."""
    deadline = time.monotonic() + _PATIENCE_S
    pause_s = 0.0
    while True:
        found, status = os.waitpid(pid, _WALL | os.WNOHANG)
        if found:
            break
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause_s)
        pause_s = min(pause_s + 0.00001, 0.001)
    if not os.WIFSTOPPED(status):
        raise ProcessLookupError(f"process {pid} has ended")
    return os.WSTOPSIG(status), status >> 16
