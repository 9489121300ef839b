"""The ways in which a request can fail before a backend sees it."""

from __future__ import annotations


class IisError(Exception):
    """An answer that IIS itself gives: `status`.`substatus`, with the reason in `detail`.

    `win32` is what lands in the log's sc-win32-status field.
    """

    def __init__(self, status: int, substatus: int, detail: str, win32: int = 0) -> None:
        super().__init__(f"{status}.{substatus} {detail}")
        self.status = status
        self.substatus = substatus
        self.detail = detail
        self.win32 = win32


class HttpSysError(Exception):
    """An answer of the kernel's listener, given before any site is known."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail


class NotModelledError(Exception):
    """The configuration asks for something that IIS can do and this simulator cannot."""


class AbortedError(Exception):
    """The rule's action is AbortRequest: the connection ends without an answer."""


class ConfigError(Exception):
    """A configuration file that IIS refuses as a whole (HTTP 500.19).

    `line` is 1-based, `hresult` the code that IIS prints: 0x8007000d for a wrong file, 0x80070021 for a
    section locked above, 0x800700b7 for a duplicate entry.
    """

    def __init__(self, line: int, message: str, hresult: int = 0x8007000D) -> None:
        super().__init__(f"line {line}: {message} (0x{hresult:08x})")
        self.line = line
        self.message = message
        self.hresult = hresult
