//! The shared maps of an instance, typed.

use super::{
    Endpoint, Error, Groups, LocalAddress, MirrorMaps, PenaltyBox, PinDir, Surroundings, Wanted,
    cells, elements::Elements, kept, tai_offset, zones,
};
use crate::policy::{CheckedPolicy, CompileContext, Compiled, Hook};
use aya::{
    Ebpf, Pod,
    maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues},
};
use aya_obj::generated::bpf_map_type;
use icmp_common::abi::{
    self, Bucket, CLASSES, CellStats, ClassKey, FIRST_SHARE, INTERFACES, LimitCounter, LimitInfo,
    OnLink, PolicyInfo, PolicyTable, SCHEMA, bucket_of_share, hook, limit_flag, name, rule_flag,
};
use icmp_common::cells::CellSet;
use icmp_common::local::{self as filter, FILTER_WORDS, Filter};
use icmp_common::share::Speed;
use icmp_common::wire::ipv6::Address;
use ipnet::Ipv6Net;
use std::{
    collections::{BTreeMap, HashSet},
    time::{SystemTime, UNIX_EPOCH},
};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A value of `icmp_common::abi` as aya takes it: neither trait nor type is this crate's.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Value<T>(pub T);

// SAFETY: only used with the values of `icmp_common::abi`, which are `#[repr(C)]` integers without
// padding (zerocopy's derives refuse others).
unsafe impl<T: IntoBytes + FromBytes + Copy + 'static> Pod for Value<T> {}

type Policies = ArrayOfMaps<MapData, Array<MapData, Value<PolicyTable>>>;

/// The maps that all interfaces of an instance share.
pub struct Maps {
    policy: Policies,
    zones_v4: zones::Slots,
    zones_v6: zones::Slots,
    buckets: Array<MapData, Value<Bucket>>,
    limits: Array<MapData, Value<LimitInfo>>,
    all_limits: Elements<LimitInfo>,
    limit_counters: PerCpuArray<MapData, Value<LimitCounter>>,
    /// A program that isn't loaded yet names its maps by their descriptors, so these stay open.
    cells: Array<MapData, Value<CellSet>>,
    all_cells: Elements<CellSet>,
    cell_stats: PerCpuArray<MapData, Value<CellStats>>,
    on_link: Array<MapData, Value<OnLink>>,
    endpoints: Array<MapData, Value<abi::Endpoint>>,
    local: HashMap<MapData, [u8; 16], u32>,
    local_filter: Array<MapData, Value<Filter>>,
    penalty: PenaltyBox,
    mirror: MirrorMaps,
    groups: Groups,
    class_keys: Array<MapData, Value<ClassKey>>,
    all_class_keys: Elements<ClassKey>,
    interfaces: Array<MapData, Value<abi::Interface>>,
    all_interfaces: Elements<abi::Interface>,
    info: Array<MapData, Value<PolicyInfo>>,
    /// Where they are pinned, if they are.
    pins: Option<PinDir>,
}

impl Maps {
    /// Those of a loaded copy, which no longer has them afterwards.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        Self::from(|name| ebpf.take_map(name).ok_or(Error::Missing { kind: "map", name }))
    }

    /// Those that are pinned.
    ///
    /// # Errors
    /// [`Error::NoInstance`] where there are none, [`Error::Schema`] where another version made
    /// them.
    pub fn open(pins: &PinDir) -> Result<Self, Error> {
        pins.require()?;
        let info: Array<_, Value<PolicyInfo>> =
            pinned(pins, name::POLICY_INFO)?.try_into().map_err(|_| Error::Schema {
                path: pins.path().to_owned(),
                found: 0,
                expected: SCHEMA,
            })?;
        let found = info.get(&0, 0)?.0.schema;
        // Zero: made, and never written; an interrupted start.
        if found != SCHEMA && found != 0 {
            return Err(Error::Schema { path: pins.path().to_owned(), found, expected: SCHEMA });
        }
        let maps = Self::from(|name| pinned(pins, name))?;
        Ok(Self { pins: Some(pins.clone()), ..maps })
    }

    fn from(mut map: impl FnMut(&'static str) -> Result<Map, Error>) -> Result<Self, Error> {
        let limits = map(name::LIMITS)?;
        let cells = map(name::CELLS)?;
        let class_keys = map(name::CLASS_KEYS)?;
        let interfaces = map(name::IFACES)?;
        Ok(Self {
            policy: map(name::POLICY)?.try_into()?,
            zones_v4: map(name::ZONES_V4)?.try_into()?,
            zones_v6: map(name::ZONES_V6)?.try_into()?,
            buckets: map(name::BUCKETS)?.try_into()?,
            all_limits: Elements::of(&limits, name::LIMITS)?,
            limits: limits.try_into()?,
            limit_counters: map(name::LIMIT_COUNTERS)?.try_into()?,
            all_cells: Elements::of(&cells, name::CELLS)?,
            cells: cells.try_into()?,
            cell_stats: map(name::CELL_STATS)?.try_into()?,
            on_link: map(name::ON_LINK)?.try_into()?,
            endpoints: map(name::ENDPOINTS)?.try_into()?,
            local: map(name::LOCAL)?.try_into()?,
            local_filter: map(name::LOCAL_FILTER)?.try_into()?,
            penalty: PenaltyBox::from(&mut map)?,
            mirror: MirrorMaps::from(&mut map)?,
            groups: Groups::from(&mut map)?,
            all_class_keys: Elements::of(&class_keys, name::CLASS_KEYS)?,
            class_keys: class_keys.try_into()?,
            all_interfaces: Elements::of(&interfaces, name::IFACES)?,
            interfaces: interfaces.try_into()?,
            info: map(name::POLICY_INFO)?.try_into()?,
            pins: None,
        })
    }

    /// What is known of the policy in force; generation 0 where there is none.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn policy_info(&self) -> Result<PolicyInfo, Error> {
        Ok(self.info.get(&0, 0)?.0)
    }

    /// The text of the policy in force; `None` where that is a bare profile, or it isn't kept.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn policy_text(&self) -> Result<Option<String>, Error> {
        let generation = self.policy_info()?.generation;
        self.pins.as_ref().map_or(Ok(None), |pins| kept::text(pins, generation))
    }

    /// What each class stands for, by index.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn class_keys(&self) -> Result<Vec<ClassKey>, Error> {
        let mut keys = self.all_class_keys.read()?;
        let unused = keys.iter().position(|key| key.kind == abi::class_kind::UNUSED);
        keys.truncate(unused.unwrap_or(CLASSES));
        Ok(keys)
    }

    /// The interfaces that have been attached, by their stable index.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn interfaces(&self) -> Result<Vec<(u32, String, abi::Interface)>, Error> {
        let all = (0..).zip(self.all_interfaces.read()?);
        let named = all.map(|(i, interface)| (i, text(&interface.name), interface));
        Ok(named.filter(|(_, name, _)| !name.is_empty()).collect())
    }

    /// The stable index of an interface; it gets one where it has none.
    pub(super) fn interface_id(&mut self, name: &str) -> Result<u32, Error> {
        let known = self.interfaces()?;
        if let Some((id, ..)) = known.iter().find(|(_, n, _)| n == name) {
            return Ok(*id);
        }
        let taken: HashSet<u32> = known.iter().map(|(id, ..)| *id).collect();
        let id = (0..INTERFACES as u32)
            .find(|id| !taken.contains(id))
            .ok_or(Error::TooManyInterfaces { most: INTERFACES })?;
        self.set_interface(id, name, 0, Modes::DETACHED)?;
        Ok(id)
    }

    /// How an interface was attached as far as was noted.
    pub(super) fn modes(&self, id: u32) -> Result<Modes, Error> {
        Ok(Modes::of(&self.interfaces.get(&id, 0)?.0))
    }

    /// Notes how an interface is attached. What is known of its speed stays.
    pub(super) fn set_interface(
        &mut self,
        id: u32,
        name: &str,
        ifindex: u32,
        modes: Modes,
    ) -> Result<(), Error> {
        let Modes { ingress: mode, egress } = modes;
        let before = self.interfaces.get(&id, 0)?.0;
        let interface = abi::Interface { name: padded(name), ifindex, mode, egress, ..before };
        self.interfaces.set(id, Value(interface), 0)?;
        self.note_requests(id, egress != abi::egress_mode::DETACHED)
    }

    /// Notes whether the requests of this machine that leave by an interface are seen.
    ///
    /// # Errors
    /// Where the map can't be written.
    pub fn note_requests(&mut self, id: u32, seen: bool) -> Result<(), Error> {
        let mut endpoint = self.endpoints.get(&id, 0)?.0;
        let flags = endpoint.flags & !abi::endpoint_flag::REQUESTS_NOTED;
        let flags = if seen { flags | abi::endpoint_flag::REQUESTS_NOTED } else { flags };
        if flags == endpoint.flags {
            return Ok(());
        }
        endpoint.flags = flags;
        Ok(self.endpoints.set(id, Value(endpoint), 0)?)
    }

    /// Gives the entry of an interface another name; its stable index stays. An entry that has that
    /// name, of an interface that was detached, gets the old one in exchange: indices are few.
    pub(super) fn rename_interface(&mut self, old: &str, new: &str) -> Result<(), Error> {
        let known = self.interfaces()?;
        let of = |name: &str| known.iter().find(|(_, n, _)| n == name);
        // Where it has none, it was given the new name before.
        let Some((id, _, entry)) = of(old) else { return Ok(()) };
        self.set_interface(*id, new, entry.ifindex, Modes::of(entry))?;
        if let Some((other, ..)) = of(new) {
            self.set_interface(*other, old, 0, Modes::DETACHED)?;
        }
        Ok(())
    }

    /// Puts a policy in force: every packet sees the old one or the new one, whole.
    ///
    /// Everything that the new table refers to is written first; the last step is one store of one
    /// slot. Where anything fails before, the old policy stays as it is.
    ///
    /// # Errors
    /// [`Error::Compile`] where it doesn't fit, or a map operation that failed.
    pub fn apply(&mut self, policy: &CheckedPolicy) -> Result<Compiled, Error> {
        let before = self.policy_info()?;
        let owners: Vec<u64> = self.all_limits.read()?.iter().map(|l| l.fingerprint).collect();
        let secret = if before.secret == 0 { draw_secret()? } else { before.secret };
        let class_keys = self.class_keys()?;
        let mut names = vec![None; INTERFACES];
        for (id, name, _) in self.interfaces()? {
            names[id as usize] = Some(name);
        }
        let mut compiled = policy.compile(&CompileContext {
            tick_units: super::tick_units(),
            class_keys: &class_keys,
            interface_names: &names,
            limit_owners: &owners,
            secret,
            cell_sets: Some(self.cells.len()),
        })?;

        let generation = before.generation + 1;
        let slot = (generation & 1) as u32;
        for hook in &mut compiled.hooks {
            hook.table.generation = generation;
            hook.table.zone_slot = slot;
        }

        for (i, key) in compiled.class_keys.iter().enumerate() {
            if class_keys.get(i) != Some(key) {
                self.class_keys.set(i as u32, Value(*key), 0)?;
            }
        }
        for used in compiled.limits.iter().filter(|l| !l.kept) {
            for bucket in buckets_of(used.limit, &used.info) {
                self.buckets.set(bucket, Value(Bucket::new_zeroed()), 0)?;
            }
            let none = vec![Value(LimitCounter::default()); nr_cpus()?];
            let none = PerCpuValues::try_from(none).map_err(Error::io("counting CPUs"))?;
            self.limit_counters.set(used.limit, none, 0)?;
            self.limits.set(used.limit, Value(used.info), 0)?;
        }
        let v4 = zones::set_v4(&mut self.zones_v4, slot, &compiled.zones_v4)?;
        let v6 = zones::set_v6(&mut self.zones_v6, slot, &compiled.zones_v6)?;
        for hook in &mut compiled.hooks {
            hook.table.zone_ranges = [v4.0, v6.0];
            hook.table.zone_steps = [v4.1, v6.1];
        }
        let mut table = new_array::<PolicyTable>(name::POLICY, hook::COUNT as u32)?;
        for (i, hook) in (0..).zip(&compiled.hooks) {
            table.set(i, value(&*hook.table), 0)?;
        }
        let fixed = policy.groups.compile_fixed(&names);
        self.groups.add_fixed(&fixed)?;
        self.set_policy_speeds(&policy.speeds)?;
        if let (Some(pins), Some(text)) = (&self.pins, &policy.text) {
            kept::keep(pins, generation, text)?;
        }
        // The swap. The kernel waits until no program still reads the table that it replaces.
        self.policy.set(0, &table, 0)?;

        self.groups.keep_fixed(&fixed)?;
        if !policy.groups.learn {
            self.groups.forget_links(None)?;
        }
        let in_use: HashSet<u32> = compiled.limits.iter().map(|l| l.limit).collect();
        for (i, owner) in (0..).zip(&owners) {
            if *owner != 0 && !in_use.contains(&i) {
                self.limits.set(i, Value(LimitInfo::new_zeroed()), 0)?;
            }
        }
        let penalised: HashSet<u32> = compiled
            .limits
            .iter()
            .filter(|l| {
                compiled.hooks[usize::from(l.info.hook)].table.rules[usize::from(l.rule)]
                    .penalty
                    .after
                    != 0
            })
            .map(|l| l.limit)
            .collect();
        let ingress = &compiled.hook(Hook::Ingress).table.rules;
        let redirects = ingress.iter().any(|rule| rule.flags & rule_flag::REDIRECT != 0);
        self.mirror.want(Wanted { penalty: !penalised.is_empty(), redirects })?;
        let kept = compiled.limits.iter().filter(|l| l.kept).map(|l| l.limit);
        self.penalty.keep_limits(&kept.filter(|l| penalised.contains(l)).collect())?;
        compiled.info.generation = generation;
        compiled.info.schema = SCHEMA;
        compiled.info.applied_unix_s =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        self.info.set(0, Value(compiled.info), 0)?;
        if let Some(pins) = &self.pins {
            // It is in force, whatever is in the way; what is left is of another policy, and forgotten with the next.
            let _ = kept::forget_others(pins, generation);
        }
        Ok(compiled)
    }

    /// Every limit that is in use, with its bucket and what passed it over all CPUs.
    ///
    /// # Errors
    /// Where a map can't be read.
    pub fn limits(&self) -> Result<Vec<LimitEntry>, Error> {
        let mut found = Vec::new();
        for (i, info) in (0..).zip(self.all_limits.read()?) {
            if info.fingerprint == 0 {
                continue;
            }
            let by_cpu = self.limit_counters.get(&i, 0)?;
            let count = by_cpu.iter().fold(LimitCounter::default(), |sum, c| LimitCounter {
                passed: sum.passed + c.0.passed,
                refused: sum.refused + c.0.refused,
                ..sum
            });
            found.push(LimitEntry { index: i, info, bucket: self.bucket(i, &info)?, count });
        }
        Ok(found)
    }

    /// The bucket of a limit. Those of a share, which has one for each interface, are told as one, of
    /// which only `contended` says something.
    fn bucket(&self, limit: u32, info: &LimitInfo) -> Result<Bucket, Error> {
        let mut all = Bucket::new_zeroed();
        for index in buckets_of(limit, info) {
            let bucket = self.buckets.get(&index, 0)?.0;
            all = Bucket { contended: all.contended + bucket.contended, ..bucket };
        }
        Ok(all)
    }

    /// The interfaces that are attached and whose speed isn't known, where the policy in force has
    /// limits that are a share of it: these aren't kept there.
    ///
    /// # Errors
    /// Where a map can't be read.
    pub fn without_shares(&self) -> Result<Vec<String>, Error> {
        let wanted = self.all_limits.read()?[FIRST_SHARE..].iter().any(|l| l.fingerprint != 0);
        let without = |(_, _, i): &(u32, String, abi::Interface)| {
            wanted && i.mode != abi::attach_mode::DETACHED && !i.speed().is_known()
        };
        Ok(self.interfaces()?.into_iter().filter(without).map(|(_, name, _)| name).collect())
    }

    /// Notes the speeds that a policy gives interfaces, and of all others that it gives none.
    fn set_policy_speeds(&mut self, speeds: &BTreeMap<String, Speed>) -> Result<(), Error> {
        for (id, name, mut interface) in self.interfaces()? {
            let speed = speeds.get(&name).copied().unwrap_or(Speed::UNKNOWN);
            if interface.policy_speed == speed.0 {
                continue;
            }
            interface.policy_speed = speed.0;
            self.interfaces.set(id, Value(interface), 0)?;
            let mut endpoint = self.endpoints.get(&id, 0)?.0;
            endpoint.octet_cost = interface.speed().octet_cost();
            self.endpoints.set(id, Value(endpoint), 0)?;
        }
        Ok(())
    }

    /// The mirror of the kernel's neighbours and routes.
    pub fn mirror(&mut self) -> &mut MirrorMaps {
        &mut self.mirror
    }

    /// Forgets who is a member on an interface, by its stable index, and who asks there.
    ///
    /// # Errors
    /// Where a map can't be read or written.
    pub fn forget_members(&mut self, id: u32) -> Result<(), Error> {
        let secret = self.policy_info()?.secret;
        self.groups.forget_interface(id, secret)
    }

    /// Who is a member of what.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Likewise, to sweep it.
    pub fn groups_mut(&mut self) -> &mut Groups {
        &mut self.groups
    }

    /// The penalty box.
    pub fn penalty(&mut self) -> &mut PenaltyBox {
        &mut self.penalty
    }

    /// How many sets of cells there are.
    #[must_use]
    pub fn cell_sets(&self) -> u32 {
        self.cells.len()
    }

    /// How many cells stand for a key at this time; of a large table an estimate. `None` where the
    /// kernel doesn't read it.
    #[must_use]
    pub fn cells_in_use(&self, now: u64) -> Option<u64> {
        cells::in_use(&self.all_cells, now)
    }

    /// What became of keys that had no cell, over all CPUs.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn cell_stats(&self) -> Result<CellStats, Error> {
        let by_cpu = self.cell_stats.get(&0, 0)?;
        Ok(by_cpu.iter().fold(CellStats::default(), |sum, s| CellStats {
            taken: sum.taken + s.0.taken,
            full: sum.full + s.0.full,
        }))
    }

    /// Makes the list of IPv6 networks that this machine is on hold these, and returns how many
    /// didn't fit.
    ///
    /// # Errors
    /// Where the map can't be written.
    pub fn set_on_link(&mut self, networks: &[Ipv6Net]) -> Result<usize, Error> {
        let mut on_link = OnLink::default();
        for (prefix, network) in on_link.prefixes.iter_mut().zip(networks) {
            let words = |address: std::net::Ipv6Addr| Address::new(address.octets()).0;
            prefix.network = words(network.network());
            prefix.mask = words(network.netmask());
            on_link.count += 1;
        }
        self.on_link.set(0, Value(on_link), 0)?;
        Ok(networks.len() - on_link.count as usize)
    }

    /// Makes the maps hold what is known of addresses, and returns how many addresses and networks
    /// didn't fit.
    ///
    /// # Errors
    /// Where a map can't be written.
    pub fn set_surroundings(&mut self, known: &Surroundings) -> Result<(usize, usize), Error> {
        self.set_endpoints(&known.endpoints)?;
        Ok((self.set_local(&known.addresses)?, self.set_on_link(&known.on_link)?))
    }

    /// Notes what each interface of the instance answers from. One that isn't among these keeps what
    /// was noted last.
    fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> Result<(), Error> {
        for (id, name, entry) in self.interfaces()? {
            // By its index, which it keeps when it gets another name; where that is gone, or it has
            // never been attached, by its name.
            let by_index = endpoints.iter().find(|e| e.index == entry.ifindex);
            let endpoint = by_index.or_else(|| endpoints.iter().find(|e| e.name == name));
            if let Some(endpoint) = endpoint {
                self.set_endpoint(id, endpoint)?;
            }
        }
        Ok(())
    }

    /// Notes what the interface of a stable index answers from.
    ///
    /// # Errors
    /// Where the map can't be written.
    pub fn set_endpoint(&mut self, id: u32, endpoint: &Endpoint) -> Result<(), Error> {
        let mut interface = self.interfaces.get(&id, 0)?.0;
        if interface.link_speed != endpoint.speed.0 {
            interface.link_speed = endpoint.speed.0;
            self.interfaces.set(id, Value(interface), 0)?;
        }
        let mut value = endpoint.value(tai_offset(), interface.speed());
        value.flags |= self.endpoints.get(&id, 0)?.0.flags & abi::endpoint_flag::REQUESTS_NOTED;
        Ok(self.endpoints.set(id, Value(value), 0)?)
    }

    /// Makes the map of local addresses hold these and no others, and returns how many didn't fit.
    ///
    /// # Errors
    /// Where the map can't be written.
    pub fn set_local(&mut self, addresses: &[LocalAddress]) -> Result<usize, Error> {
        let fitting = &addresses[..addresses.len().min(abi::LOCAL_ADDRESSES)];
        let wanted: std::collections::HashMap<[u8; 16], u32> =
            fitting.iter().map(|a| (a.octets, a.kind)).collect();
        let present: Vec<[u8; 16]> = self.local.keys().collect::<Result<_, _>>()?;
        // Both before and after, since what it doesn't have isn't looked up.
        self.local_filter.set(0, Value(filter_of(present.iter().chain(wanted.keys()))), 0)?;
        // New ones last, so that a full map has room for them.
        for gone in present.iter().filter(|a| !wanted.contains_key(*a)) {
            self.local.remove(gone)?;
        }
        for (address, kind) in &wanted {
            self.local.insert(address, kind, 0)?;
        }
        self.local_filter.set(0, Value(filter_of(wanted.keys())), 0)?;
        Ok(addresses.len() - fitting.len())
    }
}

/// The filter before these addresses.
fn filter_of<'a>(addresses: impl Iterator<Item = &'a [u8; 16]>) -> Filter {
    let mut filter = [0; FILTER_WORDS];
    addresses.for_each(|octets| filter::add(&mut filter, Address::new(*octets).0));
    filter
}

/// How an interface is attached, by hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Modes {
    /// One of [`abi::attach_mode`].
    pub ingress: u32,
    /// One of [`abi::egress_mode`].
    pub egress: u32,
}

impl Modes {
    /// Not at all.
    pub const DETACHED: Self =
        Self { ingress: abi::attach_mode::DETACHED, egress: abi::egress_mode::DETACHED };

    fn of(interface: &abi::Interface) -> Self {
        Self { ingress: interface.mode, egress: interface.egress }
    }
}

/// A limit that is in use.
#[derive(Clone, Copy, Debug)]
pub struct LimitEntry {
    /// Its index in the maps.
    pub index: u32,
    /// What it says and whose it is.
    pub info: LimitInfo,
    /// Its bucket; of a limit by key, the one that keys without a cell share.
    pub bucket: Bucket,
    /// What passed and what didn't.
    pub count: LimitCounter,
}

fn nr_cpus() -> Result<usize, Error> {
    aya::util::nr_cpus().map_err(|(what, source)| Error::Io { what: what.to_owned(), source })
}

/// A number that nobody else knows.
fn draw_secret() -> Result<u64, Error> {
    let secret = getrandom::u64()
        .map_err(|error| Error::io("drawing a random number")(std::io::Error::other(error)))?;
    Ok(secret.max(1))
}

pub(super) fn pinned(pins: &PinDir, name: &'static str) -> Result<Map, Error> {
    MapData::from_pin(pins.map(name))
        .and_then(Map::from_map_data)
        .map_err(|error| Error::Unreadable { map: name, path: pins.path().to_owned(), error })
}

/// Everything in a map, as far as it stays as it is meanwhile.
pub(super) fn entries<K, V>(
    map: &HashMap<MapData, Value<K>, Value<V>>,
) -> Result<Vec<(K, V)>, Error>
where
    K: IntoBytes + FromBytes + Copy + 'static,
    V: IntoBytes + FromBytes + Copy + 'static,
{
    let mut found = Vec::new();
    for key in map.keys() {
        let key = key?;
        match map.get(&key, 0) {
            Ok(value) => found.push((key.0, value.0)),
            // Gone since.
            Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// A reference to an `abi` value as one that aya takes, without a copy: a policy is over a
/// megabyte.
pub(super) fn value<T>(value: &T) -> &Value<T> {
    // SAFETY: `Value` is transparent.
    unsafe { &*std::ptr::from_ref(value).cast() }
}

/// An array to be put into a slot of the map of this name. It has no BTF: `PolicyWords` of the kernel program
/// says why that will do.
pub(super) fn new_array<T: IntoBytes + FromBytes + Copy + 'static>(
    slots: &'static str,
    entries: u32,
) -> Result<Array<MapData, Value<T>>, Error> {
    let kind = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    let (key, value) = (size_of::<u32>() as u32, size_of::<T>() as u32);
    let shape = aya_obj::Map::new_from_params(kind, key, value, entries, 0);
    Ok(Map::Array(MapData::create(shape, slots, None)?).try_into()?)
}

/// The buckets of a limit: one, or of a share one for each interface.
fn buckets_of(limit: u32, info: &LimitInfo) -> impl Iterator<Item = u32> + use<> {
    let is_share = info.flags & limit_flag::SHARE != 0;
    let interfaces = if is_share { INTERFACES as u32 } else { 1 };
    (0..interfaces).map(move |i| if is_share { bucket_of_share(limit, i) } else { limit })
}

/// The text of a field padded with zeros.
pub(crate) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// A text as a field padded with zeros; what is too long is cut.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    let n = text.len().min(N);
    field[..n].copy_from_slice(&text.as_bytes()[..n]);
    field
}
