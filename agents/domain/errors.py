"""Every error the product raises on purpose, one tree.

MiniLabError
├── BadInput                somebody can mend it: names the thing and the fix
│   ├── SettingsError       a value in the environment or `.env`
│   ├── PromptError         a role prompt that doesn't parse
│   ├── MalformedMessage    not a message
│   └── MessageTooLarge     over 256 KiB
├── RoomError
│   ├── RoomUnavailable     Redis can't be reached
│   ├── StaleEpoch          a STOP or CLEAR came in between: nothing more may start
│   └── LeaseLost           another worker took the turn over
├── ToolError               the gate turns it into a ToolResult
│   ├── UnknownTool
│   ├── InvalidArguments
│   ├── PathEscape          outside the workspace, or a protected place in it
│   ├── QuotaExceeded
│   ├── MissingBinary       names the program and how to get it
│   ├── ToolTimeout
│   └── Refused             policy, role or state says no
│       ├── ApprovalUnusable  the approval isn't one of this act, or not any more
│       └── LedgerUnavailable  it could not be recorded, so it must not be done
├── SessionError            a team can't be started here, or can't be joined
└── ModelError
    ├── ModelUnavailable    transient, retries exhausted: endpoint and last answer named
    ├── ModelRejected       the endpoint says no (401, 404, HTML …): the setting to mend named
    ├── ContextTooLong      the request exceeds the model's window
    └── OverBudget          money or tokens are spent: nobody asks until the User raises the cap
"""


class MiniLabError(Exception):
    """Base of all. `str(error)` is one line fit for a user."""


class BadInput(MiniLabError):
    """Input somebody can mend."""


class SettingsError(BadInput):
    """A setting has a value it can't have."""


class PromptError(BadInput):
    """A role prompt's front matter doesn't parse."""


class MalformedMessage(BadInput):
    """Bytes that aren't a message."""


class MessageTooLarge(BadInput):
    """A message over `MAX_MESSAGE_BYTES`."""


class RoomError(MiniLabError):
    """The room can't do what was asked."""


class RoomUnavailable(RoomError):
    """Redis can't be reached."""


class StaleEpoch(RoomError):
    """The room's epoch moved on: what was about to start must not."""


class LeaseLost(RoomError):
    """Another worker holds this turn now."""


class ToolError(MiniLabError):
    """A tool call failed in a way the model can read and act on."""


class UnknownTool(ToolError):
    """No such tool for this role."""


class InvalidArguments(ToolError):
    """The arguments don't fit the tool's schema."""


class PathEscape(ToolError):
    """A path outside the workspace, or in a protected part of it."""


class QuotaExceeded(ToolError):
    """Too large or too many."""


class MissingBinary(ToolError):
    """A program this tool needs isn't installed."""


class ToolTimeout(ToolError):
    """The call ran out of its time and was killed."""


class Refused(ToolError):
    """Role, policy or the room's state says no."""


class ApprovalUnusable(Refused):
    """The approval doesn't cover exactly this act now: undecided, rejected, expired, used, or another act's."""


class LedgerUnavailable(Refused):
    """The ledger can't be written: what can't be recorded must not be done."""


class SessionError(MiniLabError):
    """A session on this machine can't start, or can't be joined."""


class ModelError(MiniLabError):
    """The model can't answer."""


class ModelUnavailable(ModelError):
    """Transient failure that outlived its retries."""


class ModelRejected(ModelError):
    """The endpoint refuses: key, address or model name is wrong."""


class ContextTooLong(ModelError):
    """The request is longer than the model's window."""


class OverBudget(ModelError):
    """The budget is spent."""
