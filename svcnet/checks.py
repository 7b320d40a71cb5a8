"""Every kind of mistake that svcnet tells of: its number, its name and the reason.

Names and numbers are part of the interface: they stand in what is printed, a warning is silenced by
either, and docs/reference/checks.md has a section on each. A number is never given anew. Hundreds
are groups: 1 files, 2 fields of any object, 3 Services, 4 EndpointSlices and Endpoints, 5 Nodes,
Pods and ServiceCIDRs, 6 configuration, host facts and kubeconfig, 7 between objects, 8 what
controllers and DNS make of objects, 9 the request and the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from attrs import frozen

from svcnet.labels import SERVICE_NAME_LABEL

Severity: TypeAlias = Literal["error", "warning"]


@frozen(order=True)
class Check:
    """A kind of mistake.

    ``number`` is like ``S204``, ``name`` like ``address``; as text it is both. ``reason`` says in a
    sentence why it is one. Only a warning can be silenced.
    """

    number: str
    name: str
    reason: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.number} {self.name}"

    def line(self, text: str) -> str:
        """Return a line that ends with the check, as all that is told does."""
        return f"{text} [{self}]"


# Files and syntax.
UNREADABLE_FILE = Check(
    "S101", "unreadable-file", "What cannot be read may hold anything; to go on without it guesses."
)
LARGE_FILE = Check("S102", "large-file", "Memory is bounded, and so is what one file may hold.")
EMPTY_FOLDER = Check(
    "S103", "empty-folder", "A folder without a file to read is surely the wrong one."
)
SYNTAX = Check("S104", "syntax", "Text that is no YAML or JSON has no meaning to go by.")
ENCODING = Check(
    "S105", "encoding", "Kubernetes reads U+FFFD for each thing that is no UTF-8.", "warning"
)
DEPTH = Check("S106", "depth", "Values that nest without end would exhaust the parser.")
ALIASES = Check("S107", "aliases", "Aliases of aliases make gigabytes of a few lines.")
ONE_DOCUMENT = Check(
    "S108", "one-document", "Of several configurations nobody can say which one counts."
)
NO_MAPPING = Check("S109", "no-mapping", "Every object of Kubernetes is a mapping.")
NO_KIND = Check("S110", "no-kind", "Without a kind nothing says what the fields mean.")
API_VERSION = Check(
    "S111", "api-version", "In another version of the API the same fields may mean something else."
)
PASSED_OVER = Check(
    "S112",
    "passed-over",
    "Kinds that have no part in Services change nothing here.",
    "warning",
)
REPEATED_KEY = Check(
    "S113",
    "repeated-key",
    "Of a key that is written twice in one mapping only the last counts.",
    "warning",
)
UNREAD_TEXT = Check(
    "S114",
    "unread-text",
    "Kubernetes reads one document up to a line of ---, and nothing that follows its end there.",
    "warning",
)
UNKNOWN_KIND = Check(
    "S115",
    "unknown-kind",
    "A kind that is nearly one of those that count would be passed over like any other.",
    "warning",
)
OLD_VERSION = Check(
    "S116",
    "old-version",
    "No API server takes this version any more; what it says is the same in the new one.",
    "warning",
)
EMPTY_FILE = Check(
    "S121",
    "empty-file",
    "A shell empties a file before a command writes it, so one without a byte is half written.",
    "warning",
)
NO_OBJECT = Check(
    "S122",
    "no-object",
    "Input without an object asks that nothing be served, and is more often a mistake.",
    "warning",
)
NOT_MANIFESTS = Check(
    "S123",
    "not-manifests",
    "What a tool makes manifests of, or of manifests, says something else than they do.",
)
MISPLACED_CONFIGURATION = Check(
    "S124",
    "misplaced-configuration",
    "Another option reads it; as a manifest it says nothing.",
    "warning",
)
JOINED_DOCUMENTS = Check(
    "S125",
    "joined-documents",
    "Two objects without a line of --- between them are one mapping, in which the first is lost.",
)

# Fields of any object.
TYPE = Check("S201", "type", "The API server takes a value of one type for each field.")
CHOICE = Check("S202", "choice", "The field takes one of a few values.")
RANGE = Check("S203", "range", "The number is outside of what the field can mean.")
ADDRESS = Check("S204", "address", "Text that is no IP address can be no packet's address.")
CIDR = Check("S205", "cidr", "Text that is no CIDR names no network.")
NAME = Check("S206", "name", "The API server takes only names that DNS can carry.")
REQUIRED = Check("S207", "required", "The object means nothing without this field.")
SPECIAL_ADDRESS = Check(
    "S208",
    "special-address",
    "Loopback, link-local, multicast and unspecified addresses lead to no endpoint.",
)
REPEATED_MEMBER = Check(
    "S209", "repeated-member", "Members of this list are told apart by what two of them share."
)
IP_FAMILY = Check("S210", "ip-family", "An object has at most one address of each IP family.")
PORT_NAME = Check(
    "S211", "port-name", "A port has a number or an IANA service name: 15 letters, digits and '-'."
)
ANNOTATION = Check(
    "S212", "annotation", "Other values of svcnet's own annotations mean nothing.", "warning"
)
LABEL = Check(
    "S213",
    "label",
    "Labels, selectors, keys of annotations and appProtocol are words of one form.",
)
ANNOTATION_SIZE = Check(
    "S214", "annotation-size", "The API server keeps 256 KiB of annotations an object."
)
OTHER_NAMESPACE = Check(
    "S215",
    "other-namespace",
    "Objects that --namespace puts into a namespace name that one, or none.",
)
UNKNOWN_FIELD = Check(
    "S221",
    "unknown-field",
    "The API server drops a field that it does not know, and so does svcnet.",
    "warning",
)
UNKNOWN_ANNOTATION = Check(
    "S222",
    "unknown-annotation",
    "An annotation of svcnet's own that it does not know there has no effect.",
    "warning",
)
UNUSED_IGNORE = Check(
    "S223",
    "unused-ignore",
    "An annotation that ignores what is not there hides the next mistake of its kind.",
    "warning",
)

# Services.
NODE_PORT_TYPE = Check(
    "S301", "node-port-type", "Only types NodePort and LoadBalancer have node ports."
)
CLUSTER_IP_TYPE = Check(
    "S302", "cluster-ip-type", "The type says whether a Service may have a cluster IP."
)
CLUSTER_IPS = Check("S303", "cluster-ips", "spec.clusterIPs repeats spec.clusterIP, and adds one.")
IP_FAMILIES = Check(
    "S304", "ip-families", "spec.ipFamilies names the families of spec.clusterIPs, in their order."
)
MISPLACED_FIELD = Check(
    "S305",
    "misplaced-field",
    "What means nothing for a Service of such a type, the API server does not take.",
)
NO_CLUSTER_IP = Check(
    "S306",
    "no-cluster-ip",
    "Rules lead from a cluster IP; the API server has not given one yet.",
    "warning",
)
TOPOLOGY_ANNOTATIONS = Check(
    "S307", "topology-annotations", "The old and the new annotation for one thing must agree."
)
UNUSED_FIELD = Check(
    "S308", "unused-field", "What kube-proxy passes over has no effect here, either.", "warning"
)
FAMILY_POLICY = Check(
    "S321",
    "family-policy",
    "The policy and the cluster say how many IP families a Service may have, and which.",
)
OPEN_ADDRESS = Check(
    "S323",
    "open-address",
    "Source ranges of one IP family say nothing of addresses of the other.",
    "warning",
)
SINGLE_STACK = Check(
    "S324",
    "single-stack",
    "Without a policy a Service has the first IP family of a cluster that has both.",
    "warning",
)
FOREIGN_RANGE = Check(
    "S325",
    "foreign-range",
    "A source range admits addresses of its own IP family, and the Service has none of that.",
    "warning",
)
ALIAS_OF_ADDRESS = Check(
    "S331",
    "alias-of-address",
    "An ExternalName is an alias in DNS, and an alias of an IP address is none.",
    "warning",
)
ALIAS_PORT = Check(
    "S332",
    "alias-port",
    "Who follows an alias goes to a port of the other machine, whatever the Service says.",
    "warning",
)
UNREADY_TRAFFIC = Check(
    "S333",
    "unready-traffic",
    "publishNotReadyAddresses is for names of Pods; rules send packets to unready Pods by it.",
    "warning",
)
LONG_LABEL = Check(
    "S334",
    "long-label",
    "No part of a name in DNS is longer than 63 letters, and no name longer than 253.",
    "warning",
)
OLD_DISTRIBUTION = Check(
    "S341",
    "old-distribution",
    "PreferClose is the old name of PreferSameZone.",
    "warning",
)
OLD_TOPOLOGY = Check(
    "S342",
    "old-topology",
    "topology-aware-hints is the old name of the annotation topology-mode.",
    "warning",
)
OLD_EXTERNAL_IPS = Check(
    "S343",
    "old-external-ips",
    "externalIPs let anybody take any address; Kubernetes 1.36 calls them deprecated.",
    "warning",
)

# EndpointSlices and Endpoints.
ENDPOINT_COUNT = Check(
    "S401",
    "endpoint-count",
    "A slice has at most 1,000 endpoints and 20,000 ports, an endpoint 100 addresses and 8 hints.",
)
ADDRESS_TYPE = Check(
    "S402", "address-type", "All addresses of a slice are of the type that it names."
)
NO_SERVICE_NAME = Check(
    "S403",
    "no-service-name",
    f"The label {SERVICE_NAME_LABEL} alone says whose endpoints these are.",
    "warning",
)
ENDPOINT_PORT = Check(
    "S404", "endpoint-port", "No packet can be sent to such a port, so none is.", "warning"
)
SHARED_PORT_NAME = Check(
    "S411",
    "shared-port-name",
    "Ports of a slice are told apart by name, so no slice can mirror these subsets.",
    "warning",
)
TOO_MANY_ADDRESSES = Check(
    "S412",
    "too-many-addresses",
    "A slice that mirrors Endpoints has at most 1,000 addresses, and the rest is left out.",
    "warning",
)
UNMIRRORED = Check(
    "S413",
    "unmirrored",
    "Endpoints with the label skip-mirror serve nobody in a cluster.",
    "warning",
)
OLD_ENDPOINTS = Check(
    "S414",
    "old-endpoints",
    "EndpointSlices took the place of Endpoints, which Kubernetes 1.33 calls deprecated.",
    "warning",
)

# Nodes, Pods and ServiceCIDRs.
VARIABLE_NAME = Check(
    "S501", "variable-name", "A process cannot be given a variable of such a name."
)
VARIABLE_VALUE = Check(
    "S502", "variable-value", "A variable has a value, or is told where to take it from."
)
NODE_ADDRESS = Check(
    "S503",
    "node-address",
    "A Node's addresses are what its kubelet says; no packet has one that is no IP address.",
    "warning",
)
POD_STATUS = Check(
    "S504", "pod-status", "A state that Kubernetes does not have says nothing of a Pod.", "warning"
)

# Workloads.
TEMPLATE_LABELS = Check(
    "S511",
    "template-labels",
    "A workload whose selector does not find its own Pods would make new ones for ever.",
)

# Configuration, host facts and kubeconfig.
CONFIGURATION_KIND = Check(
    "S601", "configuration-kind", "Another document's fields are not those of kube-proxy."
)
HOST_FACT = Check("S602", "host-fact", "A fact that svcnet does not know would have no effect.")
PORT_RANGE = Check("S603", "port-range", "The text says no range of ports.")
BIND_ADDRESS = Check("S604", "bind-address", "A server listens on an IP address and a port.")
INTERFACE_NAME = Check("S605", "interface-name", "The kernel has no interface of such a name.")
DURATION = Check("S606", "duration", "Times are written with their units, as Go writes them.")
NO_ENTRY = Check("S607", "no-entry", "A kubeconfig refers to its entries by name.")
CREDENTIALS = Check(
    "S608", "credentials", "svcnet proves who it is by token or certificate, and in no other way."
)
SERVER_URL = Check("S609", "server-url", "Without a URL it is not known where the server is.")
CERTIFICATE = Check(
    "S610", "certificate", "Certificates and keys are PEM: a file, or in a kubeconfig as base64."
)
NO_EFFECT = Check(
    "S611",
    "no-effect",
    "What is asked for does not happen: svcnet, or the mode, has no use for it.",
    "warning",
)
CLEARTEXT = Check(
    "S612", "cleartext", "Credentials that travel unencrypted are everybody's.", "warning"
)
UNVERIFIED_SERVER = Check(
    "S613",
    "unverified-server",
    "Who is not asked for a certificate may be anybody on the way.",
    "warning",
)
ABSENT_NODE = Check(
    "S614",
    "absent-node",
    "A node that the input does not know has no address, no zone and no pods.",
    "warning",
)
NO_POD_CIDR = Check(
    "S615",
    "no-pod-cidr",
    "In mode NodeCIDR the Node's podCIDRs alone tell pods from others.",
    "warning",
)
NO_LOCAL_NODE = Check(
    "S616",
    "no-local-node",
    "Policy Local asks for endpoints of this node, and nobody said which one that is.",
    "warning",
)

NO_CLUSTER_CIDR = Check(
    "S617",
    "no-cluster-cidr",
    "In mode ClusterCIDR the CIDR of an IP family alone tells its pods from others.",
    "warning",
)
NO_NODE_PORT_ADDRESS = Check(
    "S618",
    "no-node-port-address",
    "Node ports answer on those addresses of a node alone that nodePortAddresses holds.",
    "warning",
)
NO_ZONE = Check(
    "S619",
    "no-zone",
    "Hints say for which zones endpoints are, and the Node does not say in which it is.",
    "warning",
)
OLD_MODE = Check(
    "S621",
    "old-mode",
    "Kubernetes 1.35 calls the mode ipvs deprecated, and a later version has none.",
    "warning",
)

# Between objects.
DUPLICATE_OBJECT = Check(
    "S701", "duplicate-object", "Of two objects of one name nobody can say which one counts."
)
CLUSTER_IP_CONFLICT = Check(
    "S702", "cluster-ip-conflict", "An API server gives a cluster IP to one Service."
)
NODE_PORT_CONFLICT = Check(
    "S703", "node-port-conflict", "An API server gives a node port of a protocol to one port."
)
NO_ENDPOINTS = Check(
    "S704",
    "no-endpoints",
    "Nobody makes endpoints for a Service without a selector.",
    "warning",
)
NO_SLICE = Check(
    "S705",
    "no-slice",
    "A Service with a selector has slices in a cluster, and none in this input.",
    "warning",
)
UNSERVED_PORT = Check(
    "S706",
    "unserved-port",
    "Ports of a Service and of its slices belong together by name and protocol.",
    "warning",
)
NO_SERVICE = Check(
    "S707", "no-service", "Endpoints of a Service that is not there serve nobody.", "warning"
)
SHARED_FRONTEND = Check(
    "S708",
    "shared-frontend",
    "Packets to one address and port cannot be for two Services.",
    "warning",
)
TOO_MANY_ENTRIES = Check(
    "S709",
    "too-many-entries",
    "A Service that takes all of a node's memory would leave none to the others.",
    "warning",
)
UNSERVED_FAMILY = Check(
    "S711",
    "unserved-family",
    "A cluster IP leads to endpoints of its own IP family, and of no other.",
    "warning",
)
CLUSTER_IP_TAKEN = Check(
    "S712",
    "cluster-ip-taken",
    "Packets to a cluster IP go to its Service, whoever else has the address.",
    "warning",
)
OUTSIDE_SERVICE_CIDR = Check(
    "S713",
    "outside-service-cidr",
    "An API server gives cluster IPs of its ServiceCIDRs, and no others.",
    "warning",
)
CONDITION_CONFLICT = Check(
    "S714",
    "condition-conflict",
    "Of one address with several conditions a single one counts.",
    "warning",
)
HEALTH_CHECK_CONFLICT = Check(
    "S715",
    "health-check-conflict",
    "Questions to a node port are led to endpoints before anything on the node hears them.",
    "warning",
)
POD_CIDR_CONFLICT = Check(
    "S716",
    "pod-cidr-conflict",
    "Pod CIDRs tell whose Pod an address is, so each Node has its own.",
    "warning",
)
OTHER_NODE_ADDRESS = Check(
    "S717",
    "other-node-address",
    "In mode ipvs a node has the addresses of Services, and packets to them do not leave it.",
    "warning",
)
SHADOWED_NAMESPACE = Check(
    "S721",
    "shadowed-namespace",
    "A name such as db.shop is looked for below a Service shop first, and in namespace shop then.",
    "warning",
)
NO_LOCAL_ENDPOINT = Check(
    "S722",
    "no-local-endpoint",
    "With policy Local a node without an endpoint drops what comes from outside.",
    "warning",
)
SINGLE_ENDPOINT = Check(
    "S723",
    "single-endpoint",
    "Session affinity chooses among endpoints, and of one there is no choice.",
    "warning",
)

# What controllers and DNS make of objects.
NO_POD = Check("S801", "no-pod", "A selector that finds no Pod makes no endpoint.", "warning")
NO_TARGET_PORT = Check(
    "S802", "no-target-port", "A named target port is looked up in each Pod.", "warning"
)
NO_POD_IP = Check("S803", "no-pod-ip", "A Pod without an address is no endpoint.", "warning")
NO_POD_NODE = Check(
    "S804", "no-pod-node", "Of a Pod whose Node is not known nobody knows the zone.", "warning"
)
VARIABLE_CONFLICT = Check(
    "S805",
    "variable-conflict",
    "Of two Services that set one variable the kubelet lets chance decide.",
    "warning",
)
EMPTY_NAMESPACE = Check(
    "S806", "empty-namespace", "A namespace without Services may be a mistyped one.", "warning"
)
ENVIRONMENT_SIZE = Check(
    "S807",
    "environment-size",
    "A process starts with a bounded number of bytes of variables, and else not at all.",
    "warning",
)

CLUSTER_FAMILIES = Check(
    "S808",
    "cluster-families",
    "A Service that names no IP family has those of a cluster that the input hardly tells of.",
    "warning",
)
ASSUMED = Check(
    "S809",
    "assumed",
    "What people keep says nothing of what a cluster gives, such as addresses; svcnet makes it up.",
    "warning",
)
NO_ADMISSION = Check(
    "S810", "no-admission", "A Pod that no Node admits waits, and is no endpoint.", "warning"
)
UNLISTED_PORT = Check(
    "S811",
    "unlisted-port",
    "A target port that no container of a Pod names is more often a mistyped one.",
    "warning",
)
PORT_PROTOCOL = Check(
    "S812",
    "port-protocol",
    "Packets of one protocol do not reach a port of another, whatever its number.",
    "warning",
)
HEADLESS_PORT = Check(
    "S813",
    "headless-port",
    "Of a headless Service no rule changes ports; an SRV record alone tells another, by its name.",
    "warning",
)
UNREADABLE_VARIABLE = Check(
    "S814",
    "unreadable-variable",
    "No shell can read a variable whose name begins with a digit, and those of Services may.",
    "warning",
)
NO_GOVERNING_SERVICE = Check(
    "S815",
    "no-governing-service",
    "Pods of a StatefulSet have names below the Service that serviceName names, and no other.",
    "warning",
)

# The request and the machine.
UNSUPPORTED_PORT = Check(
    "S901", "unsupported-port", "Not every mode and format carries every protocol.", "warning"
)
HEALTH_CHECK_PORT = Check(
    "S902",
    "health-check-port",
    "Load balancers ask there whether this node has endpoints.",
    "warning",
)
USAGE = Check("S903", "usage", "What is asked for contradicts itself, or what there is.")
UNSUPPORTED = Check("S904", "unsupported", "The mode has no way to express this.")
MACHINE = Check("S905", "machine", "The machine refused, or cannot do, what was asked of it.")
BUSY = Check("S906", "busy", "Two that change one machine would undo what the other did.")
OUTPUT = Check("S907", "output", "A result that nobody gets is none.")
NOT_IN_INPUT = Check("S908", "not-in-input", "What the input does not have cannot be shown.")
NOT_INSTALLED = Check("S909", "not-installed", "Rules are made by the machine's own tools.")
NOT_PERMITTED = Check("S910", "not-permitted", "The kernel lets root alone change the network.")
NOT_RUNNING = Check("S911", "not-running", "Only a svcnet that runs can tell what it does.")
REFUSED_RULE = Check(
    "S912", "refused-rule", "What the kernel does not take is not in force, and svcnet says so."
)
MISSING_MODULE = Check("S913", "missing-module", "A mode needs what the kernel does for it.")
FAMILY_LEFT_OUT = Check(
    "S914",
    "family-left-out",
    "A node serves the IP families that it has addresses of, and the tools for.",
    "warning",
)
MACHINE_STATE = Check(
    "S915",
    "machine-state",
    "What others made on a machine is left alone, and what it lacks is done without.",
    "warning",
)
UNUSABLE_MODE = Check(
    "S916",
    "unusable-mode",
    "A mode of another package that is broken, or like another, must not take the others along.",
    "warning",
)


def is_of(line: str, wanted: Iterable[Check]) -> bool:
    """Return whether a line that is told is of one of these checks."""
    return line.endswith(tuple(f"[{check}]" for check in wanted))


def every() -> tuple[Check, ...]:
    """Return all checks, by number."""
    return tuple(sorted(value for value in globals().values() if isinstance(value, Check)))


def find_check(text: str) -> Check | None:
    """Return the check of a name or a number, None if there is none."""
    return next((check for check in every() if text in (check.name, check.number)), None)
