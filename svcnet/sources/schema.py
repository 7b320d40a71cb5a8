"""The names of all fields of the kinds that svcnet reads, as Kubernetes v1.36 has them.

Facts of the API, taken from the ``json`` tags of k8s.io/api, k8s.io/apimachinery, k8s.io/client-go
and k8s.io/kube-proxy, v1.36.2. Fields that are maps, such as labels, have names that anybody may
choose; they are listed as plain ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from attrs import frozen

# A type and its fields, of which those that hold a mapping, or a list of them (*), name its type.
_TYPES = """
Service apiVersion kind metadata:ObjectMeta spec:ServiceSpec status:ServiceStatus
Endpoints apiVersion kind metadata:ObjectMeta subsets:EndpointSubset*
Node apiVersion kind metadata:ObjectMeta spec:NodeSpec status:NodeStatus
Pod apiVersion kind metadata:ObjectMeta spec:PodSpec status:PodStatus
EndpointSlice addressType apiVersion endpoints:Endpoint* kind metadata:ObjectMeta
  ports:DiscoveryEndpointPort*
ServiceCIDR apiVersion kind metadata:ObjectMeta spec:ServiceCIDRSpec status:ServiceCIDRStatus
Deployment apiVersion kind metadata:ObjectMeta spec:DeploymentSpec status:DeploymentStatus
StatefulSet apiVersion kind metadata:ObjectMeta spec:StatefulSetSpec status:StatefulSetStatus
DaemonSet apiVersion kind metadata:ObjectMeta spec:DaemonSetSpec status:DaemonSetStatus
ReplicaSet apiVersion kind metadata:ObjectMeta spec:ReplicaSetSpec status:ReplicaSetStatus
ReplicationController apiVersion kind metadata:ObjectMeta spec:ReplicationControllerSpec
  status:ReplicaSetStatus
Job apiVersion kind metadata:ObjectMeta spec:JobSpec status:JobStatus
CronJob apiVersion kind metadata:ObjectMeta spec:CronJobSpec status:CronJobStatus
KubeProxyConfiguration apiVersion bindAddress bindAddressHardFail
  clientConnection:ClientConnectionConfiguration clusterCIDR configSyncPeriod
  conntrack:KubeProxyConntrackConfiguration detectLocal:DetectLocalConfiguration detectLocalMode
  enableProfiling featureGates healthzBindAddress hostnameOverride
  iptables:KubeProxyIPTablesConfiguration ipvs:KubeProxyIPVSConfiguration kind
  logging:LoggingConfiguration metricsBindAddress mode nftables:KubeProxyNFTablesConfiguration
  nodePortAddresses oomScoreAdj portRange showHiddenMetricsForVersion windowsRunAsService
  winkernel:KubeProxyWinkernelConfiguration
Kubeconfig apiVersion clusters contexts current-context extensions kind preferences users
KubeconfigCluster certificate-authority certificate-authority-data disable-compression extensions
  insecure-skip-tls-verify proxy-url server tls-server-name
KubeconfigContext cluster extensions namespace user
KubeconfigUser as as-groups as-uid as-user-extra auth-provider client-certificate
  client-certificate-data client-key client-key-data exec extensions password token tokenFile
  username
AWSElasticBlockStoreVolumeSource fsType partition readOnly volumeID
Affinity nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAntiAffinity
AppArmorProfile localhostProfile type
AttachedVolume devicePath name
AzureDiskVolumeSource cachingMode diskName diskURI fsType kind readOnly
AzureFileVolumeSource readOnly secretName shareName
CSIVolumeSource driver fsType nodePublishSecretRef:LocalObjectReference readOnly volumeAttributes
Capabilities add drop
CephFSVolumeSource monitors path readOnly secretFile secretRef:LocalObjectReference user
CinderVolumeSource fsType readOnly secretRef:LocalObjectReference volumeID
ClientConnectionConfiguration acceptContentTypes burst contentType kubeconfig qps
ClientIPConfig timeoutSeconds
ClusterTrustBundleProjection labelSelector:LabelSelector name optional path signerName
Condition lastTransitionTime message observedGeneration reason status type
ConfigMapEnvSource name optional
ConfigMapKeySelector key name optional
ConfigMapNodeConfigSource kubeletConfigKey name namespace resourceVersion uid
ConfigMapProjection items:KeyToPath* name optional
ConfigMapVolumeSource defaultMode items:KeyToPath* name optional
Container args command env:EnvVar* envFrom:EnvFromSource* image imagePullPolicy lifecycle:Lifecycle
  livenessProbe:Probe name ports:ContainerPort* readinessProbe:Probe
  resizePolicy:ContainerResizePolicy* resources:ResourceRequirements restartPolicy
  restartPolicyRules:ContainerRestartRule* securityContext:SecurityContext startupProbe:Probe stdin
  stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices:VolumeDevice*
  volumeMounts:VolumeMount* workingDir
ContainerExtendedResourceRequest containerName requestName resourceName
ContainerImage names sizeBytes
ContainerPort containerPort hostIP hostPort name protocol
ContainerResizePolicy resourceName restartPolicy
ContainerRestartRule action exitCodes:ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes operator values
ContainerState running:ContainerStateRunning terminated:ContainerStateTerminated
  waiting:ContainerStateWaiting
ContainerStateRunning startedAt
ContainerStateTerminated containerID exitCode finishedAt message reason signal startedAt
ContainerStateWaiting message reason
ContainerStatus allocatedResources allocatedResourcesStatus:ResourceStatus* containerID image
  imageID lastState:ContainerState name ready resources:ResourceRequirements restartCount started
  state:ContainerState stopSignal user:ContainerUser volumeMounts:VolumeMountStatus*
ContainerUser linux:LinuxContainerUser
DaemonEndpoint Port
DetectLocalConfiguration bridgeInterface interfaceNamePrefix
DiscoveryEndpointPort appProtocol name port protocol
DownwardAPIProjection items:DownwardAPIVolumeFile*
DownwardAPIVolumeFile fieldRef:ObjectFieldSelector mode path resourceFieldRef:ResourceFieldSelector
DownwardAPIVolumeSource defaultMode items:DownwardAPIVolumeFile*
EmptyDirVolumeSource medium sizeLimit
Endpoint addresses conditions:EndpointConditions deprecatedTopology hints:EndpointHints hostname
  nodeName targetRef:ObjectReference zone
EndpointAddress hostname ip nodeName targetRef:ObjectReference
EndpointConditions ready serving terminating
EndpointHints forNodes:ForNode* forZones:ForZone*
EndpointPort appProtocol name port protocol
EndpointSubset addresses:EndpointAddress* notReadyAddresses:EndpointAddress* ports:EndpointPort*
EnvFromSource configMapRef:ConfigMapEnvSource prefix secretRef:SecretEnvSource
EnvVar name value valueFrom:EnvVarSource
EnvVarSource configMapKeyRef:ConfigMapKeySelector fieldRef:ObjectFieldSelector
  fileKeyRef:FileKeySelector resourceFieldRef:ResourceFieldSelector secretKeyRef:SecretKeySelector
EphemeralContainer args command env:EnvVar* envFrom:EnvFromSource* image imagePullPolicy
  lifecycle:Lifecycle livenessProbe:Probe name ports:ContainerPort* readinessProbe:Probe
  resizePolicy:ContainerResizePolicy* resources:ResourceRequirements restartPolicy
  restartPolicyRules:ContainerRestartRule* securityContext:SecurityContext startupProbe:Probe stdin
  stdinOnce targetContainerName terminationMessagePath terminationMessagePolicy tty
  volumeDevices:VolumeDevice* volumeMounts:VolumeMount* workingDir
EphemeralVolumeSource volumeClaimTemplate:PersistentVolumeClaimTemplate
ExecAction command
FCVolumeSource fsType lun readOnly targetWWNs wwids
FileKeySelector key optional path volumeName
FlexVolumeSource driver fsType options readOnly secretRef:LocalObjectReference
FlockerVolumeSource datasetName datasetUUID
ForNode name
ForZone name
FormatOptions json:JSONOptions text:TextOptions
GCEPersistentDiskVolumeSource fsType partition pdName readOnly
GRPCAction port service
GitRepoVolumeSource directory repository revision
GlusterfsVolumeSource endpoints path readOnly
HTTPGetAction host httpHeaders:HTTPHeader* path port scheme
HTTPHeader name value
HostAlias hostnames ip
HostIP ip
HostPathVolumeSource path type
ISCSIVolumeSource chapAuthDiscovery chapAuthSession fsType initiatorName iqn iscsiInterface lun
  portals readOnly secretRef:LocalObjectReference targetPortal
ImageVolumeSource pullPolicy reference
ImageVolumeStatus imageRef
JSONOptions infoBufferSize splitStream
KeyToPath key mode path
KubeProxyConntrackConfiguration maxPerCore min tcpBeLiberal tcpCloseWaitTimeout
  tcpEstablishedTimeout udpStreamTimeout udpTimeout
KubeProxyIPTablesConfiguration localhostNodePorts masqueradeAll masqueradeBit minSyncPeriod
  syncPeriod
KubeProxyIPVSConfiguration excludeCIDRs minSyncPeriod scheduler strictARP syncPeriod tcpFinTimeout
  tcpTimeout udpTimeout
KubeProxyNFTablesConfiguration masqueradeAll masqueradeBit minSyncPeriod syncPeriod
KubeProxyWinkernelConfiguration enableDSR forwardHealthCheckVip networkName rootHnsEndpointName
  sourceVip
LabelSelector matchExpressions:LabelSelectorRequirement* matchLabels
LabelSelectorRequirement key operator values
Lifecycle postStart:LifecycleHandler preStop:LifecycleHandler stopSignal
LifecycleHandler exec:ExecAction httpGet:HTTPGetAction sleep:SleepAction tcpSocket:TCPSocketAction
LinuxContainerUser gid supplementalGroups uid
LoadBalancerIngress hostname ip ipMode ports:PortStatus*
LoadBalancerStatus ingress:LoadBalancerIngress*
LocalObjectReference name
LoggingConfiguration flushFrequency format options:FormatOptions verbosity vmodule:VModuleItem*
ManagedFieldsEntry apiVersion fieldsType fieldsV1 manager operation subresource time
NFSVolumeSource path readOnly server
NodeAddress address type
NodeAffinity preferredDuringSchedulingIgnoredDuringExecution:PreferredSchedulingTerm*
  requiredDuringSchedulingIgnoredDuringExecution:NodeSelector
NodeAllocatableResourceClaimStatus containers resourceClaimName resources
NodeCondition lastHeartbeatTime lastTransitionTime message reason status type
NodeConfigSource configMap:ConfigMapNodeConfigSource
NodeConfigStatus active:NodeConfigSource assigned:NodeConfigSource error
  lastKnownGood:NodeConfigSource
NodeDaemonEndpoints kubeletEndpoint:DaemonEndpoint
NodeFeatures supplementalGroupsPolicy
NodeRuntimeHandler features:NodeRuntimeHandlerFeatures name
NodeRuntimeHandlerFeatures recursiveReadOnlyMounts userNamespaces
NodeSelector nodeSelectorTerms:NodeSelectorTerm*
NodeSelectorRequirement key operator values
NodeSelectorTerm matchExpressions:NodeSelectorRequirement* matchFields:NodeSelectorRequirement*
NodeSpec configSource:NodeConfigSource externalID podCIDR podCIDRs providerID taints:Taint*
  unschedulable
NodeStatus addresses:NodeAddress* allocatable capacity conditions:NodeCondition*
  config:NodeConfigStatus daemonEndpoints:NodeDaemonEndpoints declaredFeatures
  features:NodeFeatures images:ContainerImage* nodeInfo:NodeSystemInfo phase
  runtimeHandlers:NodeRuntimeHandler* volumesAttached:AttachedVolume* volumesInUse
NodeSwapStatus capacity
NodeSystemInfo architecture bootID containerRuntimeVersion kernelVersion kubeProxyVersion
  kubeletVersion machineID operatingSystem osImage swap:NodeSwapStatus systemUUID
ObjectFieldSelector apiVersion fieldPath
ObjectMeta annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers
  generateName generation labels managedFields:ManagedFieldsEntry* name namespace
  ownerReferences:OwnerReference* resourceVersion selfLink uid
ObjectReference apiVersion fieldPath kind name namespace resourceVersion uid
OwnerReference apiVersion blockOwnerDeletion controller kind name uid
PersistentVolumeClaimSpec accessModes dataSource:TypedLocalObjectReference
  dataSourceRef:TypedObjectReference resources:VolumeResourceRequirements selector:LabelSelector
  storageClassName volumeAttributesClassName volumeMode volumeName
PersistentVolumeClaimTemplate metadata:ObjectMeta spec:PersistentVolumeClaimSpec
PersistentVolumeClaimVolumeSource claimName readOnly
PhotonPersistentDiskVolumeSource fsType pdID
PodAffinity preferredDuringSchedulingIgnoredDuringExecution:WeightedPodAffinityTerm*
  requiredDuringSchedulingIgnoredDuringExecution:PodAffinityTerm*
PodAffinityTerm labelSelector:LabelSelector matchLabelKeys mismatchLabelKeys
  namespaceSelector:LabelSelector namespaces topologyKey
PodAntiAffinity preferredDuringSchedulingIgnoredDuringExecution:WeightedPodAffinityTerm*
  requiredDuringSchedulingIgnoredDuringExecution:PodAffinityTerm*
PodCertificateProjection certificateChainPath credentialBundlePath keyPath keyType
  maxExpirationSeconds signerName userAnnotations
PodCondition lastProbeTime lastTransitionTime message observedGeneration reason status type
PodDNSConfig nameservers options:PodDNSConfigOption* searches
PodDNSConfigOption name value
PodExtendedResourceClaimStatus requestMappings:ContainerExtendedResourceRequest* resourceClaimName
PodIP ip
PodOS name
PodReadinessGate conditionType
PodResourceClaim name resourceClaimName resourceClaimTemplateName
PodResourceClaimStatus name resourceClaimName
PodSchedulingGate name
PodSchedulingGroup podGroupName
PodSecurityContext appArmorProfile:AppArmorProfile fsGroup fsGroupChangePolicy runAsGroup
  runAsNonRoot runAsUser seLinuxChangePolicy seLinuxOptions:SELinuxOptions
  seccompProfile:SeccompProfile supplementalGroups supplementalGroupsPolicy sysctls:Sysctl*
  windowsOptions:WindowsSecurityContextOptions
PodSpec activeDeadlineSeconds affinity:Affinity automountServiceAccountToken containers:Container*
  dnsConfig:PodDNSConfig dnsPolicy enableServiceLinks ephemeralContainers:EphemeralContainer*
  hostAliases:HostAlias* hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride
  imagePullSecrets:LocalObjectReference* initContainers:Container* nodeName nodeSelector os:PodOS
  overhead preemptionPolicy priority priorityClassName readinessGates:PodReadinessGate*
  resourceClaims:PodResourceClaim* resources:ResourceRequirements restartPolicy runtimeClassName
  schedulerName schedulingGates:PodSchedulingGate* schedulingGroup:PodSchedulingGroup
  securityContext:PodSecurityContext serviceAccount serviceAccountName setHostnameAsFQDN
  shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations:Toleration*
  topologySpreadConstraints:TopologySpreadConstraint* volumes:Volume*
PodStatus allocatedResources conditions:PodCondition* containerStatuses:ContainerStatus*
  ephemeralContainerStatuses:ContainerStatus*
  extendedResourceClaimStatus:PodExtendedResourceClaimStatus hostIP hostIPs:HostIP*
  initContainerStatuses:ContainerStatus* message
  nodeAllocatableResourceClaimStatuses:NodeAllocatableResourceClaimStatus* nominatedNodeName
  observedGeneration phase podIP podIPs:PodIP* qosClass reason resize
  resourceClaimStatuses:PodResourceClaimStatus* resources:ResourceRequirements startTime
PortStatus error port protocol
PortworxVolumeSource fsType readOnly volumeID
PreferredSchedulingTerm preference:NodeSelectorTerm weight
Probe exec:ExecAction failureThreshold grpc:GRPCAction httpGet:HTTPGetAction initialDelaySeconds
  periodSeconds successThreshold tcpSocket:TCPSocketAction terminationGracePeriodSeconds
  timeoutSeconds
ProjectedVolumeSource defaultMode sources:VolumeProjection*
QuobyteVolumeSource group readOnly registry tenant user volume
RBDVolumeSource fsType image keyring monitors pool readOnly secretRef:LocalObjectReference user
ResourceClaim name request
ResourceFieldSelector containerName divisor resource
ResourceHealth health message resourceID
ResourceRequirements claims:ResourceClaim* limits requests
ResourceStatus name resources:ResourceHealth*
SELinuxOptions level role type user
ScaleIOVolumeSource fsType gateway protectionDomain readOnly secretRef:LocalObjectReference
  sslEnabled storageMode storagePool system volumeName
SeccompProfile localhostProfile type
SecretEnvSource name optional
SecretKeySelector key name optional
SecretProjection items:KeyToPath* name optional
SecretVolumeSource defaultMode items:KeyToPath* optional secretName
SecurityContext allowPrivilegeEscalation appArmorProfile:AppArmorProfile capabilities:Capabilities
  privileged procMount readOnlyRootFilesystem runAsGroup runAsNonRoot runAsUser
  seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile
  windowsOptions:WindowsSecurityContextOptions
ServiceAccountTokenProjection audience expirationSeconds path
ServiceCIDRSpec cidrs
ServiceCIDRStatus conditions:Condition*
ServicePort appProtocol name nodePort port protocol targetPort
ServiceSpec allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName
  externalTrafficPolicy healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy
  loadBalancerClass loadBalancerIP loadBalancerSourceRanges ports:ServicePort*
  publishNotReadyAddresses selector sessionAffinity sessionAffinityConfig:SessionAffinityConfig
  trafficDistribution type
ServiceStatus conditions:Condition* loadBalancer:LoadBalancerStatus
SessionAffinityConfig clientIP:ClientIPConfig
SleepAction seconds
StorageOSVolumeSource fsType readOnly secretRef:LocalObjectReference volumeName volumeNamespace
Sysctl name value
TCPSocketAction host port
Taint effect key timeAdded value
TextOptions infoBufferSize splitStream
Toleration effect key operator tolerationSeconds value
TopologySpreadConstraint labelSelector:LabelSelector matchLabelKeys maxSkew minDomains
  nodeAffinityPolicy nodeTaintsPolicy topologyKey whenUnsatisfiable
TypedLocalObjectReference apiGroup kind name
TypedObjectReference apiGroup kind name namespace
Volume awsElasticBlockStore:AWSElasticBlockStoreVolumeSource azureDisk:AzureDiskVolumeSource
  azureFile:AzureFileVolumeSource cephfs:CephFSVolumeSource cinder:CinderVolumeSource
  configMap:ConfigMapVolumeSource csi:CSIVolumeSource downwardAPI:DownwardAPIVolumeSource
  emptyDir:EmptyDirVolumeSource ephemeral:EphemeralVolumeSource fc:FCVolumeSource
  flexVolume:FlexVolumeSource flocker:FlockerVolumeSource
  gcePersistentDisk:GCEPersistentDiskVolumeSource gitRepo:GitRepoVolumeSource
  glusterfs:GlusterfsVolumeSource hostPath:HostPathVolumeSource image:ImageVolumeSource
  iscsi:ISCSIVolumeSource name nfs:NFSVolumeSource
  persistentVolumeClaim:PersistentVolumeClaimVolumeSource
  photonPersistentDisk:PhotonPersistentDiskVolumeSource portworxVolume:PortworxVolumeSource
  projected:ProjectedVolumeSource quobyte:QuobyteVolumeSource rbd:RBDVolumeSource
  scaleIO:ScaleIOVolumeSource secret:SecretVolumeSource storageos:StorageOSVolumeSource
  vsphereVolume:VsphereVirtualDiskVolumeSource
VModuleItem filePattern verbosity
VolumeDevice devicePath name
VolumeMount mountPath mountPropagation name readOnly recursiveReadOnly subPath subPathExpr
VolumeMountStatus mountPath name readOnly recursiveReadOnly volumeStatus:VolumeStatus
VolumeProjection clusterTrustBundle:ClusterTrustBundleProjection configMap:ConfigMapProjection
  downwardAPI:DownwardAPIProjection podCertificate:PodCertificateProjection secret:SecretProjection
  serviceAccountToken:ServiceAccountTokenProjection
VolumeResourceRequirements limits requests
VolumeStatus image:ImageVolumeStatus
CronJobSpec concurrencyPolicy failedJobsHistoryLimit jobTemplate:JobTemplateSpec schedule
  startingDeadlineSeconds successfulJobsHistoryLimit suspend timeZone
CronJobStatus active lastScheduleTime lastSuccessfulTime
DaemonSetSpec minReadySeconds revisionHistoryLimit selector:LabelSelector template:PodTemplateSpec
  templateGeneration updateStrategy:DaemonSetUpdateStrategy
DaemonSetStatus collisionCount conditions:WorkloadCondition* currentNumberScheduled
  desiredNumberScheduled numberAvailable numberMisscheduled numberReady numberUnavailable
  observedGeneration updatedNumberScheduled
DaemonSetUpdateStrategy rollingUpdate:RollingUpdate type
DeploymentSpec minReadySeconds paused progressDeadlineSeconds replicas revisionHistoryLimit
  rollbackTo selector:LabelSelector strategy:DeploymentStrategy template:PodTemplateSpec
DeploymentStatus availableReplicas collisionCount conditions:WorkloadCondition* observedGeneration
  readyReplicas replicas terminatingReplicas unavailableReplicas updatedReplicas
DeploymentStrategy rollingUpdate:RollingUpdate type
JobSpec activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions managedBy
  manualSelector maxFailedIndexes parallelism podFailurePolicy:PodFailurePolicy
  podReplacementPolicy selector:LabelSelector successPolicy:SuccessPolicy suspend
  template:PodTemplateSpec ttlSecondsAfterFinished
JobStatus active completedIndexes completionTime conditions:WorkloadCondition* failed failedIndexes
  ready startTime succeeded terminating uncountedTerminatedPods:UncountedTerminatedPods
JobTemplateSpec metadata:ObjectMeta spec:JobSpec
PersistentVolumeClaim apiVersion kind metadata:ObjectMeta spec:PersistentVolumeClaimSpec status
PodFailurePolicy rules:PodFailurePolicyRule*
PodFailurePolicyOnExitCodesRequirement containerName operator values
PodFailurePolicyOnPodConditionsPattern status type
PodFailurePolicyRule action onExitCodes:PodFailurePolicyOnExitCodesRequirement
  onPodConditions:PodFailurePolicyOnPodConditionsPattern*
PodTemplateSpec metadata:ObjectMeta spec:PodSpec
ReplicaSetSpec minReadySeconds replicas selector:LabelSelector template:PodTemplateSpec
ReplicaSetStatus availableReplicas conditions:WorkloadCondition* fullyLabeledReplicas
  observedGeneration readyReplicas replicas terminatingReplicas
ReplicationControllerSpec minReadySeconds replicas selector template:PodTemplateSpec
RollingUpdate maxSurge maxUnavailable partition
StatefulSetOrdinals start
StatefulSetPersistentVolumeClaimRetentionPolicy whenDeleted whenScaled
StatefulSetSpec minReadySeconds ordinals:StatefulSetOrdinals
  persistentVolumeClaimRetentionPolicy:StatefulSetPersistentVolumeClaimRetentionPolicy
  podManagementPolicy replicas revisionHistoryLimit selector:LabelSelector serviceName
  template:PodTemplateSpec updateStrategy:StatefulSetUpdateStrategy
  volumeClaimTemplates:PersistentVolumeClaim*
StatefulSetStatus availableReplicas collisionCount conditions:WorkloadCondition* currentReplicas
  currentRevision observedGeneration readyReplicas replicas updateRevision updatedReplicas
StatefulSetUpdateStrategy rollingUpdate:RollingUpdate type
SuccessPolicy rules:SuccessPolicyRule*
SuccessPolicyRule succeededCount succeededIndexes
UncountedTerminatedPods failed succeeded
WorkloadCondition lastProbeTime lastTransitionTime lastUpdateTime message reason status type
VsphereVirtualDiskVolumeSource fsType storagePolicyID storagePolicyName volumePath
WeightedPodAffinityTerm podAffinityTerm:PodAffinityTerm weight
WindowsSecurityContextOptions gmsaCredentialSpec gmsaCredentialSpecName hostProcess runAsUserName
"""


@frozen
class Fieldset:
    """The fields of a type: all ``names``, and those ``below`` which there are further fields.

    ``below`` has a name's type, and whether the field is a list of such.
    """

    names: frozenset[str]
    below: Mapping[str, tuple[str, bool]]


@cache
def fieldsets() -> Mapping[str, Fieldset]:
    """Return the fields of each type by its name; a kind is a type."""
    lines = _TYPES.strip().replace("\n ", "").splitlines()
    return dict(_fieldset(line.split()) for line in lines)


def _fieldset(words: list[str]) -> tuple[str, Fieldset]:
    kind, *fields = words
    pairs = [field.partition(":")[::2] for field in fields]
    below = {name: (of.rstrip("*"), of.endswith("*")) for name, of in pairs if of}
    return kind, Fieldset(frozenset(name for name, _ in pairs), below)
