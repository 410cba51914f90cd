//! An instance at one moment, as plain data: what its pinned maps say, with every number already
//! turned into the words that metrics and commands use; and what Linux itself counts beside them.

use super::MembershipState;
use crate::datapath::{
    BoxedSource, CounterEntry, Counters, Error, KernelCount, KernelSetting, LimitEntry, Maps,
    PinDir, attached_index, bucket_time, kernel_counts, kernel_settings, text,
};
use icmp_common::{
    abi::{
        ClassKey, Counter, Interface, LimitInfo, PolicyInfo, attach_mode, class_kind, egress_mode,
        family, group_flag, hook, limit_flag, limit_key,
    },
    bucket::{OCTET_SHIFT, reach, spent},
    cells::WAYS,
    classify::{code_name, type_name},
    penalty::REFUSALS,
    share::{Share, Speed},
    verdict::{Mode, Reason, Verdict},
};
use ipnet::IpNet;
use std::{fmt, time::Duration};

/// An instance at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The version of the program that reads.
    pub version: String,
    /// The policy in force; `None` where there is none, after an interrupted start.
    pub policy: Option<PolicyState>,
    /// Every interface that has counters here, by name.
    pub interfaces: Vec<InterfaceState>,
    /// How often a packet was refused because other CPUs kept taking the token bucket first.
    pub bucket_contention: u64,
    /// The limits of the policy in force, by rule.
    pub limits: Vec<LimitState>,
    /// The interfaces where limits that are a share of their speed aren't in force, since it isn't
    /// known.
    pub without_shares: Vec<String>,
    /// The table of limits by key.
    pub keys: KeysState,
    /// The penalty box.
    pub penalty: PenaltyState,
    /// Groups and their members.
    pub membership: MembershipState,
    /// What Linux itself counts, and keeps back before the program for what is sent sees it.
    pub kernel: KernelState,
    /// What could not be read, a line each.
    pub errors: Vec<String>,
}

/// A limit of the policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// The rule that it is of.
    pub rule: String,
    /// The hook that the rule is of.
    pub hook: &'static str,
    /// What shares a bucket: `total`, `source`, `destination` or `link`.
    pub key: &'static str,
    /// `packets` or `octets`.
    pub unit: &'static str,
    /// How much passes over time and at once.
    pub pace: Pace,
    /// Whether it is a reserve.
    pub reserve: bool,
    /// Whether it is of what its rule matches and whose flow is unknown.
    pub unknown_flow: bool,
    /// Packets within it.
    pub passed: u64,
    /// Packets beyond it.
    pub refused: u64,
    /// How much of the burst is there now, in its unit, rounded down. `None` for a limit by key,
    /// which has a bucket for each.
    pub level: Option<u64>,
}

/// How much a limit lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A number, in its unit.
    Rate {
        /// How many in each period.
        rate: u64,
        /// The period, in seconds.
        period_s: u32,
        /// How many at once.
        burst: u64,
    },
    /// A share of the interface's speed.
    Share {
        /// Which.
        share: Share,
        /// In how many milliseconds the burst comes back.
        burst_ms: u64,
    },
}

impl LimitState {
    fn new(entry: &LimitEntry, now: u64) -> Self {
        let LimitEntry { info, bucket, count, .. } = entry;
        let spent = spent(bucket.tat, now, reach(info.depth)).min(info.depth);
        let octets = info.flags & limit_flag::OCTETS != 0;
        let cost = u128::from(info.cost.max(1)) >> if octets { OCTET_SHIFT } else { 0 };
        let left = u128::from(info.depth - spent) / cost.max(1);
        let in_total = info.key == limit_key::TOTAL;
        let LimitInfo { rate, burst, period_s, .. } = *info;
        let pace = if info.flags & limit_flag::SHARE != 0 {
            Pace::Share { share: Share(rate as u32), burst_ms: burst }
        } else {
            Pace::Rate { rate, period_s, burst }
        };
        Self {
            rule: text(&info.rule),
            hook: hook::label(info.hook),
            key: limit_key::label(info.key),
            unit: if octets { "octets" } else { "packets" },
            pace,
            reserve: info.flags & limit_flag::RESERVE != 0,
            unknown_flow: info.flags & limit_flag::UNKNOWN_FLOW != 0,
            passed: count.passed,
            refused: count.refused,
            level: in_total.then(|| left.min(burst.into()) as u64),
        }
    }
}

/// The table of limits by key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeysState {
    /// How many keys it holds at most.
    pub capacity: u64,
    /// How many stand there now; of a large table an estimate. `None` where the kernel doesn't say.
    pub used: Option<u64>,
    /// How often a key took a place in it.
    pub taken: u64,
    /// Packets whose key found no place, and shared one bucket with others.
    pub full: u64,
}

/// The penalty box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PenaltyState {
    /// Who is in it, by address.
    pub boxed: Vec<BoxedState>,
    /// Whether a rule of the policy in force has a penalty.
    pub wanted: bool,
    /// Whether somebody keeps up with the neighbours, without which nobody is boxed.
    pub fresh: bool,
    /// How often a source was put into it.
    pub times: u64,
    /// Packets beyond a limit that were not held against their source, by the reason why.
    pub refused: Vec<(&'static str, u64)>,
    /// Packets beyond a limit whose source found no room in the table.
    pub full: u64,
}

/// Linux's own ICMP in the network namespace of the process that reads, all its interfaces together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelState {
    /// What it counts, by counter and then by family.
    pub counts: Vec<KernelCount>,
    /// By what it limits the errors that it sends.
    pub settings: Vec<KernelSetting>,
}

impl KernelState {
    fn read() -> Self {
        Self { counts: kernel_counts(), settings: kernel_settings() }
    }
}

/// A source in the penalty box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxedState {
    /// Its address, or the prefix that its limit takes for one source.
    pub source: IpNet,
    /// The hardware address that its packets come from.
    pub hardware: String,
    /// The interface that they come in by.
    pub interface: String,
    /// The rule whose limit it kept exceeding.
    pub rule: String,
    /// How long it stays.
    pub left: Duration,
    /// How many of its packets the box dropped.
    pub dropped: u64,
}

impl BoxedState {
    /// A source of the map, with the words for its numbers: `interfaces` by stable index, `rules` by
    /// the index of their limit.
    #[must_use]
    pub fn new(
        source: &BoxedSource,
        interfaces: &[(u32, String, Interface)],
        rules: &[(u32, String)],
    ) -> Self {
        let interface = interfaces.iter().find(|(id, ..)| *id == u32::from(source.key.interface));
        let rule = rules.iter().find(|(limit, _)| *limit == source.key.limit);
        Self {
            source: source.prefix(),
            hardware: source.hardware(),
            interface: interface.map_or_else(String::new, |(_, name, _)| name.clone()),
            rule: rule.map_or_else(String::new, |(_, rule)| rule.clone()),
            left: source.left,
            dropped: source.dropped,
        }
    }
}

impl PenaltyState {
    fn read(maps: &mut Maps, limits: &[LimitEntry]) -> Result<Self, Error> {
        let interfaces = maps.interfaces()?;
        let rules: Vec<(u32, String)> =
            limits.iter().map(|l| (l.index, text(&l.info.rule))).collect();
        let mirror = maps.mirror();
        let (wanted, fresh) = (mirror.wanted()?.penalty, mirror.is_fresh()?);
        let penalty = maps.penalty();
        let stats = penalty.stats()?;
        let boxed = penalty.boxed()?;
        Ok(Self {
            boxed: boxed.iter().map(|b| BoxedState::new(b, &interfaces, &rules)).collect(),
            wanted,
            fresh,
            times: stats.boxed,
            refused: REFUSALS
                .iter()
                .map(|(why, label)| (*label, stats.refused[*why as usize]))
                .collect(),
            full: stats.full,
        })
    }
}

/// The policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyState {
    /// The name of its profile.
    pub profile: String,
    /// The path of its file; `None` for a bare profile.
    pub path: Option<String>,
    /// Counts the policies that have been put in force, from 1.
    pub generation: u64,
    /// When, in seconds since the epoch.
    pub applied_unix_s: u64,
    /// How many rules, the profile's included.
    pub rules: u32,
    /// How many prefixes its zones have.
    pub prefixes: u32,
    /// Whether it is carried out as a whole.
    pub mode: Mode,
}

/// Where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
    /// Nowhere: the interface went away.
    Detached,
}

impl Level {
    /// The label used in metrics, JSON and tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Detached => "detached",
        }
    }
}

/// Where the program for what is sent is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressLevel {
    /// By a link of its own.
    Tcx,
    /// As a filter of `clsact`.
    Clsact,
    /// Nowhere.
    Detached,
}

impl EgressLevel {
    fn of(mode: u32) -> Self {
        match mode {
            egress_mode::TCX => Self::Tcx,
            egress_mode::CLSACT | egress_mode::CLSACT_MADE => Self::Clsact,
            _ => Self::Detached,
        }
    }

    /// The label used in metrics, JSON and tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Detached => "detached",
        }
    }
}

/// What is made of groups and their members on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupLevel {
    /// Nothing.
    #[default]
    Off,
    /// It is learnt who is a member of what.
    Learnt,
    /// And it is noted what has no member, which leaves all the same.
    Observed,
    /// And what has none is kept back.
    Gated,
}

impl GroupLevel {
    /// That of an interface, by its stable index. What is sent is kept back by the program for it alone.
    fn of(info: &PolicyInfo, id: u32, egress: EgressLevel) -> Self {
        let is_gated = egress != EgressLevel::Detached && info.gated >> (id & 63) & 1 == 1;
        match (info.learns, is_gated) {
            (0, _) => Self::Off,
            (_, false) => Self::Learnt,
            _ if info.group_flags & group_flag::OBSERVE != 0 => Self::Observed,
            _ => Self::Gated,
        }
    }

    /// The label used in JSON and tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Learnt => "learnt",
            Self::Observed => "observed",
            Self::Gated => "gated",
        }
    }
}

/// An interface of the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceState {
    /// Its name when it was attached.
    pub name: String,
    /// Where the program is, at this moment.
    pub level: Level,
    /// Where the program for what is sent is.
    pub egress: EgressLevel,
    /// The speed by which shares of it go.
    pub speed: Speed,
    /// Whether that is the policy's, and not the driver's.
    pub speed_by_policy: bool,
    /// What is made of groups on it.
    pub groups: GroupLevel,
    /// Its counters in use, in the order in which they are shown.
    pub counters: Vec<CounterLine>,
    /// What found no free counter.
    pub overflow: Counter,
    /// How many counters are in use.
    pub used: u32,
    /// How many there are.
    pub room: u32,
}

/// A type or a code, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The number.
    Number(u8),
    /// The class that all those share which aren't counted apart.
    Other,
    /// There is no header to read it from, or none of a family that is ours.
    Absent,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => n.fmt(f),
            Self::Other => f.pad("other"),
            Self::Absent => f.pad("none"),
        }
    }
}

/// One counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterLine {
    /// One of [`hook`].
    pub hook: u8,
    /// One of [`family`].
    pub family: u8,
    /// The type.
    pub ty: Field,
    /// The code.
    pub code: Field,
    /// What was done.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Whether the reason was acted upon.
    pub mode: Mode,
    /// How much of it there was.
    pub count: Counter,
}

impl CounterLine {
    fn new(entry: &CounterEntry, classes: &[ClassKey]) -> Self {
        let key = classes.get(usize::from(entry.class)).copied().unwrap_or_default();
        let (ty, code) = match key.kind {
            class_kind::PAIR => (Field::Number(key.ty), Field::Number(key.code)),
            class_kind::HEADERLESS | class_kind::NOT_OURS => (Field::Absent, Field::Absent),
            _ => (Field::Other, Field::Other),
        };
        Self {
            hook: entry.hook,
            family: key.family,
            ty,
            code,
            verdict: entry.outcome.verdict(),
            reason: entry.outcome.reason(),
            mode: entry.outcome.mode(),
            count: entry.count,
        }
    }

    /// The name of the type; `None` where it isn't known.
    #[must_use]
    pub fn type_name(&self) -> Option<&'static str> {
        match self.ty {
            Field::Number(ty) => Some(type_name(self.family, ty)),
            _ => None,
        }
    }

    /// The name of the code; `None` where it has none.
    #[must_use]
    pub fn code_name(&self) -> Option<&'static str> {
        match (self.ty, self.code) {
            (Field::Number(ty), Field::Number(code)) => code_name(self.family, ty, code),
            _ => None,
        }
    }

    /// What the lines are sorted by: what isn't ours stands last.
    fn order(&self) -> impl Ord + use<> {
        let family = if self.family == family::NONE { u8::MAX } else { self.family };
        (self.hook, family, self.ty, self.code, self.verdict, self.reason, self.mode)
    }
}

impl PolicyState {
    fn of(info: &PolicyInfo) -> Option<Self> {
        let path = text(&info.path);
        (info.generation != 0).then(|| Self {
            profile: text(&info.profile),
            path: (!path.is_empty()).then_some(path),
            generation: info.generation,
            applied_unix_s: info.applied_unix_s,
            rules: info.rules,
            prefixes: info.prefixes,
            mode: if info.observe == 0 { Mode::Enforce } else { Mode::Observe },
        })
    }
}

impl InterfaceState {
    fn new(
        name: String,
        (level, egress): (Level, EgressLevel),
        (speed, speed_by_policy): (Speed, bool),
        counters: &Counters,
        classes: &[ClassKey],
    ) -> Self {
        let mut lines: Vec<CounterLine> =
            counters.entries.iter().map(|entry| CounterLine::new(entry, classes)).collect();
        lines.sort_unstable_by_key(CounterLine::order);
        let Counters { overflow, used, room, .. } = *counters;
        Self {
            name,
            level,
            egress,
            speed,
            speed_by_policy,
            groups: GroupLevel::Off,
            counters: lines,
            overflow,
            used,
            room,
        }
    }
}

impl Snapshot {
    /// Reads an instance. What can't be read of one interface doesn't keep the others back; it is
    /// under [`Snapshot::errors`].
    ///
    /// # Errors
    /// Where there is no instance, or its shared maps can't be read.
    pub fn read(pins: &PinDir) -> Result<Self, Error> {
        let mut maps = Maps::open(pins)?;
        let info = maps.policy_info()?;
        let policy = PolicyState::of(&info);
        let entries = maps.limits()?;
        let bucket_contention = entries.iter().map(|e| e.bucket.contended).sum();
        let now = bucket_time();
        let mut limits: Vec<LimitState> =
            entries.iter().map(|entry| LimitState::new(entry, now)).collect();
        limits.sort_by(|a, b| (a.hook, &a.rule, a.key).cmp(&(b.hook, &b.rule, b.key)));
        let without_shares = maps.without_shares()?;
        let stats = maps.cell_stats()?;
        let keys = KeysState {
            capacity: u64::from(maps.cell_sets()) * WAYS as u64,
            used: maps.cells_in_use(now),
            taken: stats.taken,
            full: stats.full,
        };
        let penalty = PenaltyState::read(&mut maps, &entries)?;
        let membership = MembershipState::read(&maps)?;
        let noted = maps.interfaces()?;
        let (mut counters, mut errors) = (Vec::new(), Vec::new());
        for name in pins.interfaces() {
            match Counters::pinned(pins, &name) {
                Ok(read) => counters.push((name, read)),
                // Detached while this was reading: then it isn't there, and that is no error.
                Err(Error::NotAttached { .. }) => {}
                Err(error) => errors.push(format!("{name}: {error}")),
            }
        }
        // After the counters: the registry only grows, so every class they have is in it.
        let classes = maps.class_keys()?;
        let interfaces = counters
            .into_iter()
            .map(|(name, read)| {
                let found = noted.iter().find(|(_, n, _)| *n == name);
                let entry = found.map(|(.., i)| i);
                let levels = match (attached_index(pins, &name), entry) {
                    (None | Some(0), _) => (Level::Detached, EgressLevel::Detached),
                    (_, Some(entry)) if entry.mode == attach_mode::NATIVE => {
                        (Level::Native, EgressLevel::of(entry.egress))
                    }
                    (_, entry) => {
                        (Level::Generic, EgressLevel::of(entry.map_or(0, |entry| entry.egress)))
                    }
                };
                let speed = entry.map_or((Speed::UNKNOWN, false), |i| {
                    (i.speed(), Speed(i.policy_speed).is_known())
                });
                let groups =
                    found.map(|(id, ..)| GroupLevel::of(&info, *id, levels.1)).unwrap_or_default();
                InterfaceState {
                    groups,
                    ..InterfaceState::new(name, levels, speed, &read, &classes)
                }
            })
            .collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let kernel = KernelState::read();
        Ok(Self {
            version,
            policy,
            interfaces,
            bucket_contention,
            limits,
            without_shares,
            keys,
            penalty,
            membership,
            kernel,
            errors,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        datapath::KernelCounter,
        observe::{GatedState, QuerierState},
        policy::CompileContext,
    };
    use icmp_common::member::Stats;
    use icmp_common::verdict::Outcome;

    #[test]
    fn groups_are_gated_where_the_policy_says_so_and_the_program_for_it_is() {
        let text = |groups: &str| format!("profile = \"host\"\n[groups]\n{groups}\n");
        let level = |groups: &str, id, egress| {
            let policy = crate::policy::from_str("p", &text(groups)).expect("it holds");
            let names = [Some("a".to_owned()), Some("b".to_owned())];
            let context = CompileContext { interface_names: &names, ..CompileContext::EMPTY };
            GroupLevel::of(&policy.compile(&context).expect("it fits").info, id, egress)
        };
        assert_eq!(level("learn = false", 0, EgressLevel::Tcx), GroupLevel::Off);
        assert_eq!(level("", 0, EgressLevel::Tcx), GroupLevel::Learnt);
        assert_eq!(level("gate = true", 1, EgressLevel::Clsact), GroupLevel::Gated);
        assert_eq!(level("gate = true", 1, EgressLevel::Detached), GroupLevel::Learnt);
        assert_eq!(level("gate = \"b\"", 0, EgressLevel::Tcx), GroupLevel::Learnt);
        let observed = level("gate = \"b\"\nmode = \"observe\"", 1, EgressLevel::Tcx);
        assert_eq!(observed, GroupLevel::Observed);
    }

    fn entry(class: u16, reason: Reason, mode: Mode, packets: u64) -> CounterEntry {
        let count = Counter { packets, octets: 100 * packets };
        CounterEntry { hook: hook::INGRESS, class, outcome: Outcome::new(reason, mode), count }
    }

    fn limit(rule: &str, key: &'static str, level: Option<u64>) -> LimitState {
        LimitState {
            rule: rule.to_owned(),
            hook: "ingress",
            key,
            unit: "packets",
            pace: Pace::Rate { rate: 5000, period_s: 1, burst: 5000 },
            reserve: false,
            unknown_flow: false,
            passed: 40,
            refused: 2,
            level,
        }
    }

    /// Every counter of the kernel, each with a value of its own.
    fn kernel() -> KernelState {
        let families = |counter| match counter {
            KernelCounter::OutRateLimitGlobal => vec![None],
            _ => vec![Some(family::ICMPV4), Some(family::ICMPV6)],
        };
        let all = KernelCounter::ALL.into_iter();
        let all = all.flat_map(|counter| families(counter).into_iter().map(move |f| (counter, f)));
        let count = |((counter, family), messages)| KernelCount { counter, family, messages };
        let (name, meaning) = ("net.ipv4.icmp_ratelimit", "ms");
        KernelState {
            counts: all.zip(101..).map(count).collect(),
            settings: vec![KernelSetting { name, meaning, value: 1000 }],
        }
    }

    /// A snapshot as maps would give it: every kind of class, both modes, one interface gone.
    pub fn by_hand() -> Snapshot {
        let key = |kind, family, ty, code| ClassKey { kind, family, ty, code };
        let classes = [
            key(class_kind::NOT_OURS, family::NONE, 0, 0),
            key(class_kind::HEADERLESS, family::ICMPV4, 0, 0),
            key(class_kind::OTHER, family::ICMPV6, 0, 0),
            key(class_kind::PAIR, family::ICMPV4, 3, 4),
            key(class_kind::PAIR, family::ICMPV4, 8, 0),
            key(class_kind::PAIR, family::IGMP, 0x22, 0),
        ];
        let counters = Counters {
            entries: vec![
                entry(0, Reason::NOT_ICMP, Mode::Enforce, 9),
                entry(1, Reason::MESSAGE_TOO_SHORT, Mode::Enforce, 8),
                entry(2, Reason::DENIED, Mode::Observe, 7),
                entry(3, Reason::ACCEPTED, Mode::Enforce, 6),
                entry(4, Reason::OVER_LIMIT, Mode::Enforce, 5),
                entry(4, Reason::WITHIN_LIMIT, Mode::Enforce, 4),
                entry(5, Reason::ACCEPTED, Mode::Enforce, 3),
                CounterEntry {
                    hook: hook::EGRESS,
                    ..entry(3, Reason::OVER_LIMIT, Mode::Enforce, 2)
                },
            ],
            overflow: Counter { packets: 2, octets: 200 },
            used: 7,
            room: 4093,
        };
        let gone = Counters { room: 4093, ..Counters::default() };
        Snapshot {
            version: "1.2.3".to_owned(),
            policy: Some(PolicyState {
                profile: "host".to_owned(),
                path: Some("/etc/icmpgate/policy.toml".to_owned()),
                generation: 3,
                applied_unix_s: 1_700_000_000,
                rules: 57,
                prefixes: 12,
                mode: Mode::Enforce,
            }),
            interfaces: vec![
                InterfaceState::new(
                    "eth0".to_owned(),
                    (Level::Native, EgressLevel::Tcx),
                    (Speed(10_000), false),
                    &counters,
                    &classes,
                ),
                InterfaceState::new(
                    "wan0".to_owned(),
                    (Level::Detached, EgressLevel::Detached),
                    (Speed::UNKNOWN, false),
                    &gone,
                    &classes,
                ),
            ],
            bucket_contention: 1,
            limits: vec![
                limit("icmpv4/echo-request", "source", None),
                limit("icmpv4/echo-request", "total", Some(4711)),
                LimitState {
                    hook: "egress",
                    unit: "octets",
                    pace: Pace::Share { share: Share(250), burst_ms: 100 },
                    ..limit("errors", "link", None)
                },
            ],
            without_shares: Vec::new(),
            keys: KeysState { capacity: 262_144, used: Some(9), taken: 12, full: 3 },
            penalty: PenaltyState {
                boxed: vec![BoxedState {
                    source: "192.0.2.7/32".parse().unwrap(),
                    hardware: "02:00:00:00:00:07".to_owned(),
                    interface: "eth0".to_owned(),
                    rule: "echo".to_owned(),
                    left: Duration::from_secs(12),
                    dropped: 345,
                }],
                wanted: true,
                fresh: true,
                times: 4,
                refused: vec![("off-link", 6), ("hardware-address", 0)],
                full: 2,
            },
            membership: membership(),
            kernel: kernel(),
            errors: vec!["lan0: refused".to_owned()],
        }
    }

    fn membership() -> MembershipState {
        MembershipState {
            held: vec![("eth0".to_owned(), 3), ("wan0".to_owned(), 0)],
            queriers: vec![QuerierState {
                interface: "eth0".to_owned(),
                vlan: None,
                inner_vlan: None,
                protocol: "igmp",
                querier: Some("192.0.2.1".parse().unwrap()),
                own: false,
                version: Some(3),
                expires_s: Some(255.0),
                other_router: true,
            }],
            stats: Stats {
                joins: 7,
                leaves: 4,
                table_full: 1,
                interface_full: 2,
                host_full: 3,
                join_rate: 4,
                contended: 5,
                group_full: 6,
            },
            gated: vec![GatedState {
                interface: "eth0".to_owned(),
                group: "239.1.1.1".parse().unwrap(),
                packets: 10,
                octets: 14_000,
            }],
        }
    }

    #[test]
    fn counters_are_in_the_order_of_what_they_count() {
        let snapshot = by_hand();
        let shown: Vec<String> = snapshot.interfaces[0]
            .counters
            .iter()
            .map(|c| {
                format!(
                    "{} {} {} {} {} {} {}",
                    hook::label(c.hook),
                    family::label(c.family),
                    c.ty,
                    c.code,
                    c.verdict.label(),
                    c.reason.label(),
                    c.mode.label()
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "ingress icmpv4 3 4 pass accepted enforce",
                "ingress icmpv4 8 0 pass within-limit enforce",
                "ingress icmpv4 8 0 drop over-limit enforce",
                "ingress icmpv4 none none drop message-too-short enforce",
                "ingress icmpv6 other other pass denied observe",
                "ingress igmp 34 0 pass accepted enforce",
                "ingress none none none pass not-icmp enforce",
                "egress icmpv4 3 4 drop over-limit enforce",
            ]
        );
    }

    #[test]
    fn names_stand_beside_numbers_only() {
        let snapshot = by_hand();
        let lines = &snapshot.interfaces[0].counters;
        assert_eq!(lines[0].type_name(), Some("destination-unreachable"));
        assert_eq!(lines[0].code_name(), Some("fragmentation-needed"));
        assert_eq!(lines[1].code_name(), None);
        assert_eq!((lines[3].type_name(), lines[3].code_name()), (None, None));
    }

    #[test]
    fn without_a_generation_there_is_no_policy() {
        use zerocopy::FromZeros;
        let mut info = PolicyInfo::new_zeroed();
        assert_eq!(PolicyState::of(&info), None);
        (info.generation, info.observe) = (1, 1);
        info.profile[..4].copy_from_slice(b"host");
        let state = PolicyState::of(&info).unwrap();
        assert_eq!((state.profile.as_str(), state.path, state.mode), ("host", None, Mode::Observe));
    }
}
