# SPDX-License-Identifier: Apache-2.0
"""The ESP-Hosted control path: include/otter/hosted_client.h, call by call."""
import ctypes
import ctypes.util
import os
from collections import namedtuple

CHUNK = 64 * 1024  # bytes read at a time by update()

REFUSED = -130  # otter_err.h

Version = namedtuple("Version", "name major1 major2 minor rev_patch1 rev_patch2")


class HostedError(Exception):
    """A request that failed; the text says why. code is the otter_err."""

    def __init__(self, text, code):
        super().__init__(text)
        self.code = code


class Refused(HostedError):
    """The device said no. resp is its own code."""

    def __init__(self, text, code, resp):
        super().__init__(text, code)
        self.resp = resp


class _Version(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 65), ("numbers", ctypes.c_uint32 * 5)]


_EVENT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint16, ctypes.POINTER(ctypes.c_uint8),
                          ctypes.c_size_t)

_SIGNATURES = {  # name: result, arguments after the client
    "open": (ctypes.c_int, [ctypes.c_char_p]),
    "open_fd": (ctypes.c_int, [ctypes.c_int]),
    "close": (None, []),
    "free": (None, []),
    "begin": (ctypes.c_int, []),
    "write": (ctypes.c_int, [ctypes.c_char_p, ctypes.c_size_t]),
    "end": (ctypes.c_int, []),
    "version": (ctypes.c_int, [ctypes.POINTER(_Version)]),
    "error": (ctypes.c_char_p, []),
    "resp": (ctypes.c_int32, []),
    "timeouts": (None, [ctypes.c_uint32, ctypes.c_uint32]),
    "on_event": (None, [_EVENT, ctypes.c_void_p]),
}


def _load():
    path = os.environ.get("OTTER_LIBRARY") or ctypes.util.find_library("otter") or "libotter.so.0"
    library = ctypes.CDLL(path)
    library.otter_hosted_client_new.restype = ctypes.c_void_p
    library.otter_hosted_client_new.argtypes = []
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, "otter_hosted_client_" + name)
        function.restype = result
        function.argtypes = [ctypes.c_void_p] + arguments
    return library


class Hosted:
    """One device on one line: "/dev/esps0", "/dev/ttyUSB0?baud=921600", "unix:/path", or an open
    descriptor. Every call blocks until the device has answered, or raises HostedError.

    on_event(id, data) is called for events that arrive meanwhile: 301 the device started,
    302 a heartbeat.
    """

    _library = None

    def __init__(self, address, begin_timeout=60, timeout=30, on_event=None):
        if Hosted._library is None:
            Hosted._library = _load()
        self._client = self._library.otter_hosted_client_new()
        if not self._client:
            raise MemoryError
        self._handler = None
        self._call("timeouts", int(begin_timeout * 1000), int(timeout * 1000))
        if on_event is not None:
            self._handler = _EVENT(lambda _, number, data, size:
                                   on_event(number, ctypes.string_at(data, size)))
            self._call("on_event", self._handler, None)
        try:
            if isinstance(address, int):
                self._check(self._call("open_fd", address))
            else:
                self._check(self._call("open", os.fsencode(address)))
        except HostedError:
            self.close()
            raise

    def _call(self, name, *arguments):
        if self._client is None:
            raise ValueError("the device was closed")
        return getattr(self._library, "otter_hosted_client_" + name)(self._client, *arguments)

    def _check(self, code):
        if code == REFUSED:
            raise Refused(self._call("error").decode(errors="replace"), code, self._call("resp"))
        if code != 0:
            raise HostedError(self._call("error").decode(errors="replace"), code)

    def begin(self):
        """Prepares the next slot; an unfinished update is forgotten."""
        self._check(self._call("begin"))

    def write(self, data):
        """Appends firmware, any number of bytes."""
        data = bytes(data)
        self._check(self._call("write", data, len(data)))

    def end(self):
        """Verifies and selects the new firmware; the device restarts 5 seconds later."""
        self._check(self._call("end"))

    def update(self, image, progress=None):
        """All three, with image a file or anything else that has read(). progress(bytes)."""
        sent = 0
        self.begin()
        while True:
            data = image.read(CHUNK)
            if not data:
                break
            self.write(data)
            sent += len(data)
            if progress is not None:
                progress(sent)
        self.end()

    def version(self):
        """What the device says of its firmware."""
        version = _Version()
        self._check(self._call("version", ctypes.byref(version)))
        return Version(version.name.decode(errors="replace"), *version.numbers)

    def close(self):
        """Closes the line. The device keeps an unfinished update for a while."""
        if self._client is not None:
            self._call("free")
            self._client = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if getattr(self, "_client", None) is not None:
            self.close()
