//! Every map, and the constants that the loader sets. Shapes and sizes are `icmp_common::abi`'s.

use aya_ebpf::{
    Global,
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray},
    macros::btf_map,
};
use icmp_common::{
    abi, cells::CellSet, flow, local, member, mirror, parse::Packet, penalty, querier,
};

/// Of a map that user space reads as memory, many elements at a time (`BPF_F_MMAPABLE`, Linux 5.5).
const MAPPED: usize = 1 << 10;

/// A [`abi::PolicyTable`] as words. Before 6.2 the kernel takes a map into a slot only where the BTF of both
/// says the same about locks (otherwise EINVAL): of a structure, that there is none, but of words as little
/// as no BTF at all. So the loader can make the next policy's maps without BTF.
pub type PolicyWords = [u64; size_of::<abi::PolicyTable>() / 8];

const _: () = assert!(size_of::<PolicyWords>() == size_of::<abi::PolicyTable>());

/// The policy in force: one slot, and in it a table for each hook. Read by [`crate::rule::policy`].
#[btf_map]
pub static POLICY: ArrayOfMaps<Array<PolicyWords, { abi::hook::COUNT }>, 1> = ArrayOfMaps::new();

/// IPv4 ranges with their sets of zones; the policy says which slot is its own.
#[btf_map]
pub static ZONES_V4: ArrayOfMaps<Array<abi::ZoneColumn, 1>, 2> = ArrayOfMaps::new();

/// IPv6 ranges, likewise, by [`abi::zone_column`].
#[btf_map]
pub static ZONES_V6: ArrayOfMaps<Array<abi::ZoneColumn, { abi::zone_column::COUNT }>, 2> =
    ArrayOfMaps::new();

/// Token buckets that all CPUs share: one for each limit, and for each share and interface.
#[btf_map]
pub static BUCKETS: Array<abi::Bucket, { abi::BUCKETS }> = Array::new();

/// What each limit says and whose it is. The loader's alone.
#[btf_map]
pub static LIMITS: Array<abi::LimitInfo, { abi::LIMITS }, MAPPED> = Array::new();

/// What passed each limit and what didn't.
#[btf_map]
pub static LIMIT_COUNTERS: PerCpuArray<abi::LimitCounter, { abi::LIMITS }> = PerCpuArray::new();

/// Token buckets by key. The loader may make it another size.
#[btf_map]
pub static CELLS: Array<CellSet, { abi::CELL_SETS as usize }, MAPPED> = Array::new();

/// What became of keys that had no cell.
#[btf_map]
pub static CELL_STATS: PerCpuArray<abi::CellStats, 1> = PerCpuArray::new();

/// The IPv6 networks that this machine is on.
#[btf_map]
pub static ON_LINK: Array<abi::OnLink, 1> = Array::new();

/// What each interface answers from.
#[btf_map]
pub static ENDPOINTS: Array<abi::Endpoint, { abi::INTERFACES }> = Array::new();

/// Addresses of this machine, IPv4 in mapped form: see [`abi::local`].
#[btf_map]
pub static LOCAL: HashMap<[u8; 16], u32, { abi::LOCAL_ADDRESSES }> = HashMap::new();

/// Which addresses are worth a look into that map.
#[btf_map]
pub static LOCAL_FILTER: Array<local::Filter, 1> = Array::new();

/// Sources that are boxed or suspected. Not LRU: a flood of suspects mustn't let out who is in.
#[btf_map]
pub static PENALTY_BOX: HashMap<penalty::SourceKey, penalty::Source, { penalty::SOURCES }> =
    HashMap::new();

/// What became of offences.
#[btf_map]
pub static PENALTY_STATS: PerCpuArray<penalty::Stats, 1> = PerCpuArray::new();

/// Hardware addresses of neighbours. The loader's alone.
#[btf_map]
pub static NEIGHBOURS: HashMap<mirror::NeighbourKey, u64, { mirror::NEIGHBOURS }> = HashMap::new();

/// Where this machine's packets to a prefix go, IPv4 in mapped form. The loader's alone.
#[btf_map]
pub static ROUTES: LpmTrie<[u8; 16], mirror::Route, { mirror::ROUTES }> = LpmTrie::new();

/// Words by [`mirror::word`]. The loader's alone.
#[btf_map]
pub static MIRROR: Array<u64, { mirror::word::COUNT }> = Array::new();

/// When each request was last sent, in the unit of bucket time.
#[btf_map]
pub static REQUESTS: LruHashMap<flow::Request, u64, { flow::REQUESTS }> = LruHashMap::new();

/// `EEXIST`: what an insertion that must be the first says where another CPU's was.
pub const EEXIST: i32 = 17;

/// Of a map whose elements are made when they come, not all at the start (`BPF_F_NO_PREALLOC`).
const AS_THEY_COME: usize = 1;

/// Groups with their members. Not LRU: who joins what never ends mustn't end what others receive.
#[btf_map]
pub static GROUPS: HashMap<member::GroupKey, member::Group, { abi::GROUPS }, AS_THEY_COME> =
    HashMap::new();

/// Zeros, as what a group or a link begins with: on the stack there is no room for them.
#[btf_map]
pub static EMPTY: Array<[u64; size_of::<member::Group>() / 8], 1> = Array::new();

/// Links, and who asks there.
#[btf_map]
pub static LINKS: HashMap<member::LinkKey, querier::Link, { abi::LINKS }> = HashMap::new();

/// How many groups there are: see [`abi::HELD_WORDS`].
#[btf_map]
pub static GROUPS_HELD: Array<u32, { abi::HELD_WORDS }, MAPPED> = Array::new();

/// Until when a group has members somewhere.
#[btf_map]
pub static REGISTERED: LruHashMap<[u64; 2], u64, { abi::GATED }> = LruHashMap::new();

/// What the policy says has members. The loader's alone.
#[btf_map]
pub static STATIC_GROUPS: HashMap<member::StaticKey, u32, { 4 * abi::STATIC_GROUPS }> =
    HashMap::new();

/// What was kept from links without a member.
#[btf_map]
pub static GATED: LruHashMap<member::GroupKey, abi::Counter, { abi::GATED }> = LruHashMap::new();

/// What became of reports.
#[btf_map]
pub static MEMBER_STATS: PerCpuArray<member::Stats, 1> = PerCpuArray::new();

/// The report at hand, while it is.
#[btf_map]
pub static LEARNING: PerCpuArray<crate::member::Learning, 1> = PerCpuArray::new();

/// What each class stands for. The loader's alone.
#[btf_map]
pub static CLASS_KEYS: Array<abi::ClassKey, { abi::CLASSES }, MAPPED> = Array::new();

/// Interfaces by their stable index. The loader's alone.
#[btf_map]
pub static IFACES: Array<abi::Interface, { abi::INTERFACES }, MAPPED> = Array::new();

/// What is known of the policy in force. The loader's alone.
#[btf_map]
pub static POLICY_INFO: Array<abi::PolicyInfo, 1> = Array::new();

/// Counters of this interface.
#[btf_map]
pub static COUNTERS: PerCpuArray<abi::Counter, { abi::COUNTERS }> = PerCpuArray::new();

/// Which counter a hook, a class and an outcome have.
#[btf_map]
pub static COUNTER_ROWS: Array<abi::CounterRow, { abi::COUNTER_ROWS }, MAPPED> = Array::new();

/// How many counters are in use, but for the first three.
#[btf_map]
pub static COUNTERS_USED: Array<u32, 1> = Array::new();

/// What happened to the last packet, where [`TRACING`].
#[btf_map]
pub static TRACE: Array<abi::Trace, 1> = Array::new();

/// Octets of a frame that don't lie in its linear area, on their way into a checksum.
#[btf_map]
pub static SCRATCH: PerCpuArray<[u8; crate::frame::SCRATCH], 1> = PerCpuArray::new();

/// Which sources the bench's front writes.
#[btf_map]
pub static SWEEP: Array<abi::Sweep, 1> = Array::new();

/// Where it goes on.
#[btf_map]
pub static SWEEP_TO: ProgramArray<1> = ProgramArray::new();

/// How many packets the bench's floor of a flood had.
#[btf_map]
pub static DROPPED: PerCpuArray<u64, 1> = PerCpuArray::new();

/// The packet at hand, while it is. Not on the stack, of which all functions that call each other have
/// 512 octets together.
#[btf_map]
pub static PACKET: PerCpuArray<Packet, 1> = PerCpuArray::new();

/// What the error at hand is about, while it is.
#[btf_map]
pub static QUOTED: PerCpuArray<flow::Flow, 1> = PerCpuArray::new();

/// What is asked to be answered, while it is.
#[btf_map]
pub static ASKED: PerCpuArray<crate::answer::Asked, 1> = PerCpuArray::new();

/// The stable index of the interface that this copy of the program is attached to.
#[unsafe(no_mangle)]
pub static INTERFACE_ID: Global<u32> = Global::new(0);

/// 1 where each packet's trace is written. Constant to the verifier, so that the code behind it
/// isn't there otherwise.
#[unsafe(no_mangle)]
pub static TRACING: Global<u32> = Global::new(0);

/// The length of a tick, in the unit of bucket time.
#[unsafe(no_mangle)]
pub static TICK: Global<u64> = Global::new(4_000_000 << 8);

/// What the kernel's count of ticks showed at the start (INITIAL_JIFFIES, linux/jiffies.h).
#[unsafe(no_mangle)]
pub static FIRST_TICK: Global<u64> = Global::new(0xffff_ffff - 300 * 250 + 1);

/// Where the kernel's `tcp_sock` has the first octet that isn't acknowledged; 0 where that isn't known.
#[unsafe(no_mangle)]
pub static SND_UNA: Global<u32> = Global::new(0);

/// Likewise the octet that it sends next.
#[unsafe(no_mangle)]
pub static SND_NXT: Global<u32> = Global::new(0);
