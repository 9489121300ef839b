"""WS-Management as pywinrm speaks it: requests read into plain values, answers written as SOAP.

The verbs and name spaces are those of [MS-WSMV] that WinRS (Windows Remote Shell) uses.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
_SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
_FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
_CMD_SHELL = f"{_SHELL}/cmd"


class MalformedRequest(ValueError):
    """The body is not a WS-Management request this endpoint knows."""


@dataclass(frozen=True)
class Request:
    """One request. `verb` is the last word of the action ("Create", "Command", "Send", …)."""

    action: str
    message_id: str
    shell_id: str | None
    command_id: str | None
    command_line: str
    stdin: bytes
    end_of_input: bool

    @property
    def verb(self) -> str:
        return self.action.rsplit("/", 1)[-1]


def parse(body: bytes) -> Request:
    """Read one SOAP envelope; raises MalformedRequest."""
    try:
        # Only authenticated clients come this far, and expat itself bounds entity expansion.
        root = ElementTree.fromstring(body)  # noqa: S314
    except ElementTree.ParseError as error:
        raise MalformedRequest(f"not XML: {error}") from error
    action = root.findtext(f".//{{{_ADDRESSING}}}Action")
    message_id = root.findtext(f".//{{{_ADDRESSING}}}MessageID")
    if not action or not message_id:
        raise MalformedRequest("no Action or no MessageID in the SOAP header")
    shell_id = next(
        (s.text for s in root.iter(f"{{{_WSMAN}}}Selector") if s.get("Name") == "ShellId"),
        None,
    )
    words = [root.findtext(f".//{{{_SHELL}}}Command") or ""]
    words += [argument.text or "" for argument in root.iter(f"{{{_SHELL}}}Arguments")]
    stream = root.find(f".//{{{_SHELL}}}Send/{{{_SHELL}}}Stream")
    carriers = (
        stream,
        root.find(f".//{{{_SHELL}}}DesiredStream"),
        root.find(f".//{{{_SHELL}}}Signal"),
    )
    return Request(
        action=action,
        message_id=message_id,
        shell_id=shell_id,
        command_id=next((c.get("CommandId") for c in carriers if c is not None), None),
        command_line=" ".join(word for word in words if word),
        stdin=base64.b64decode(stream.text or "") if stream is not None else b"",
        end_of_input=stream is not None and stream.get("End", "").lower() in ("true", "1"),
    )


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    return (
        f'<s:Envelope xmlns:s="{_SOAP}" xmlns:a="{_ADDRESSING}" xmlns:w="{_WSMAN}" '
        f'xmlns:rsp="{_SHELL}" xmlns:x="{_TRANSFER}" xml:lang="en-US"><s:Header>'
        f"<a:Action>{escape(action)}</a:Action><a:MessageID>uuid:{uuid.uuid4()}</a:MessageID>"
        f"<a:To>{_ADDRESSING}/role/anonymous</a:To><a:RelatesTo>{escape(relates_to)}</a:RelatesTo>"
        f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def shell_created(request: Request, shell_id: str) -> bytes:
    return _envelope(
        f"{request.action}Response",
        request.message_id,
        f"<x:ResourceCreated><a:ReferenceParameters><w:ResourceURI>{_CMD_SHELL}</w:ResourceURI>"
        f'<w:SelectorSet><w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet>'
        f"</a:ReferenceParameters></x:ResourceCreated><rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId></rsp:Shell>",
    )


def command_started(request: Request, command_id: str) -> bytes:
    body = f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>"
    return _envelope(f"{request.action}Response", request.message_id, body)


def acknowledged(request: Request) -> bytes:
    """The empty answer to Send, Signal and Delete."""
    body = "" if request.verb == "Delete" else f"<rsp:{request.verb}Response/>"
    return _envelope(f"{request.action}Response", request.message_id, body)


def output(request: Request, exit_code: int, stdout: bytes, stderr: bytes) -> bytes:
    """The answer to Receive: everything at once, and the command is done."""
    command = request.command_id
    streams = "".join(
        f'<rsp:Stream Name="{name}" CommandId="{command}">{base64.b64encode(data).decode()}</rsp:Stream>'
        for name, data in (("stdout", stdout), ("stderr", stderr))
        if data
    )
    ends = "".join(f'<rsp:Stream Name="{n}" CommandId="{command}" End="true"/>' for n in ("stdout", "stderr"))
    return _envelope(
        f"{request.action}Response",
        request.message_id,
        f"<rsp:ReceiveResponse>{streams}{ends}"
        f'<rsp:CommandState CommandId="{command}" State="{_SHELL}/CommandState/Done">'
        f"<rsp:ExitCode>{exit_code}</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>",
    )


def fault(message: str, relates_to: str = "", code: int = 2150858843) -> bytes:
    """A SOAP fault; the default code is Windows' "the shell was not found on the server"."""
    body = (
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{escape(message)}</s:Text></s:Reason>'
        f'<s:Detail><f:WSManFault xmlns:f="{_FAULT}" Code="{code}">'
        f"<f:Message>{escape(message)}</f:Message></f:WSManFault></s:Detail></s:Fault>"
    )
    return _envelope("http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", relates_to, body)
