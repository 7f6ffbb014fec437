"""The words that conditions, events and the phase column show. Tools match on them: never reword one."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """One word for people; nothing decides by it. Conditions say the rest."""

    PENDING = "Pending"
    PREPARING = "Preparing"
    VERIFYING = "Verifying"
    AWAITING_APPROVAL = "AwaitingApproval"
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    ANALYZING = "Analyzing"
    ROLLING_BACK = "RollingBack"
    DRAINING = "Draining"
    READY = "Ready"
    SUSPENDED = "Suspended"
    FAILED = "Failed"
    INVALID = "Invalid"
    CONFLICT = "Conflict"
    DELETING = "Deleting"


class Condition(StrEnum):
    """The condition types. Serving (Available) and rolling out (Progressing) are told apart."""

    READY = "Ready"
    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    VERIFIED = "Verified"
    DRAINING = "Draining"
    UPDATE_AVAILABLE = "UpdateAvailable"
    ROUTE_ACCEPTED = "RouteAccepted"
    """Only of a model that has an HTTPRoute, or is to have one."""


class Reason(StrEnum):
    """Why a condition stands as it does, or what an event tells."""

    # the resource itself
    INVALID_SPEC = "InvalidSpec"
    CONFLICT = "Conflict"
    SECRETS_FORBIDDEN = "SecretsForbidden"
    """The spec has clients, and this operator may not read their Secrets."""
    REFUSED = "RefusedByCluster"
    """The API server said no to what the model needs: quota, Pod Security, a field that it finds invalid."""

    # at rest
    SERVING = "Serving"
    STABLE = "Stable"
    ALL_WELL = "AllWell"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_READY_ENDPOINTS = "NoReadyEndpoints"
    NOTHING_TO_DRAIN = "NothingToDrain"
    NEVER_PROMOTED = "NeverPromoted"

    # steps of a rollout; each is an event too
    FLEET_CREATED = "FleetCreated"
    FLEET_REVIVED = "FleetRevived"
    FLEET_RESIZED = "FleetResized"
    SUPERSEDED = "Superseded"
    PROMOTED = "Promoted"
    TRAFFIC_RESTORED = "TrafficRestored"
    VERIFICATION_STARTED = "VerificationStarted"
    VERIFICATION_FAILED = "VerificationFailed"
    APPROVAL_NEEDED = "ApprovalNeeded"
    ABORTED = "Aborted"
    RETRIED = "Retried"
    ANALYSIS_BREACHED = "AnalysisBreached"
    ROLLED_BACK = "RolledBack"
    DRAIN_ORDERED = "DrainOrdered"
    DRAIN_CANCELLED = "DrainCancelled"
    STREAMS_FINISHED = "StreamsFinished"
    STREAMS_RESUMED = "StreamsResumed"
    DRAINED = "Drained"
    DRAIN_DEADLINE_EXCEEDED = "DrainDeadlineExceeded"
    ROLLOUT_FAILED = "RolloutFailed"
    HISTORY_TRIMMED = "HistoryTrimmed"
    SCALED = "Scaled"

    # what a rollout waits for
    ROLLOUT_STARTING = "RolloutStarting"
    WAITING_FOR_PODS = "WaitingForPods"
    WAITING_FOR_MODEL = "WaitingForModel"
    WAITING_FOR_ENDPOINTS = "WaitingForEndpoints"
    WAITING_FOR_STREAMS = "WaitingForStreams"
    WAITING_FOR_ANSWERS = "WaitingForAnswers"
    WAITING_TO_ACCEPT = "WaitingToAccept"
    PROMPTS_UNREADABLE = "PromptsUnreadable"
    VERIFIED = "Verified"
    ANALYZING = "Analyzing"
    ANALYSIS_PASSED = "AnalysisPassed"
    PAUSED = "Paused"
    SUSPENDED = "Suspended"
    VERB_IGNORED = "VerbIgnored"
    GATES_PASSED = "GatesPassed"
    WAITING_FOR_ROOM = "InsufficientCapacity"
    NOT_IN_PLACE = "InPlaceNotPossible"
    STRATEGY_CHOSEN = "StrategyChosen"
    DRAINING = "Draining"

    # whether new pods would be made otherwise
    ROLLING_OUT = "RollingOut"
    UP_TO_DATE = "UpToDate"
    NOT_COMPARED = "NotCompared"
    PODS_WOULD_DIFFER = "PodsWouldDiffer"

    # the HTTPRoute; what a gateway refuses has the gateway's own word
    ROUTE_ACCEPTED = "Accepted"
    WAITING_FOR_GATEWAY = "WaitingForGateway"
    GATEWAY_API_MISSING = "GatewayApiMissing"
    ROUTES_FORBIDDEN = "RoutesForbidden"
    ROUTE_UNREADABLE = "RouteUnreadable"
    ROUTE_UNWANTED = "RouteUnwanted"

    # why pods do not come up
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CRASH_LOOPING = "CrashLooping"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    OUT_OF_MEMORY = "OutOfMemory"
    UNSCHEDULABLE = "Unschedulable"

    # why weights cannot be had; a pod's message begins with one of these
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_UNAUTHORISED = "SourceUnauthorised"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_INVALID = "SourceInvalid"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    OUT_OF_SPACE = "OutOfSpace"
    CACHE_UNWRITABLE = "CacheUnwritable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    LOAD_FAILED = "LoadFailed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"

    # settings that reach running pods
    CLIENT_KEY_MISSING = "ClientKeyMissing"
    SETTINGS_REJECTED = "SettingsRejected"
    SETTINGS_SPREADING = "SettingsSpreading"
    PODS_NOT_READY = "PodsNotReady"
