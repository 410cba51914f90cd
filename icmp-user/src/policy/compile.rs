//! A checked policy as the maps hold it.

use super::decide::{self, Decider, type_index};
use super::limits::{Assigner, LimitUse, Whose};
use super::registry;
use super::zone::{self, ZoneSets};
use super::{CheckMode, CheckedPolicy, Checks, Effect, Hook, Key, Rule, UnknownFlow};
use icmp_common::abi::Rule as TableRule;
use icmp_common::abi::{
    CELL_SETS, CLASSES, ClassEntry, ClassKey, INTERFACES, LIMITS, PolicyInfo, PolicyTable,
    RULE_NONE, RULES, SCHEMA, SHARES, action, class_headerless, class_other, family, fragment,
    hook, policy_flag, rule_flag,
};
use icmp_common::bucket::MAX_DEPTH;
use icmp_common::cells::WAYS;
use icmp_common::classify::code_ignored;
use icmp_common::penalty::{Penalty, flag};
use icmp_common::verdict::{JUDGED, Mode, Reason};
use icmp_common::wire::ipv6::Address;
use ipnet::{Ipv4Net, Ipv6Net};
use std::alloc::{Layout, handle_alloc_error};
use zerocopy::FromZeros;

/// What the maps already hold, and what only the machine knows.
#[derive(Clone, Copy, Debug)]
pub struct CompileContext<'a> {
    /// The length of a kernel tick, in the unit of [`icmp_common::bucket`].
    pub tick_units: u64,
    /// The registry of classes, as `CLASS_KEYS` holds it; may be empty.
    pub class_keys: &'a [ClassKey],
    /// The names of interfaces by their stable index; may be empty.
    pub interface_names: &'a [Option<String>],
    /// Whose each limit is: the fingerprints that `LIMITS` holds; may be empty.
    pub limit_owners: &'a [u64],
    /// What keeps strangers from choosing cells: the instance's.
    pub secret: u64,
    /// How many sets of cells the maps have; `None` where they are made for this policy.
    pub cell_sets: Option<u32>,
}

impl CompileContext<'static> {
    /// A machine of which nothing is known and whose maps are empty. Every limit reads nanoseconds.
    pub const EMPTY: Self = Self {
        tick_units: MAX_DEPTH,
        class_keys: &[],
        interface_names: &[],
        limit_owners: &[],
        secret: 0,
        cell_sets: None,
    };
}

/// Why a policy that holds together can't be put into the maps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The decision table is too large.
    #[error(
        "the policy needs a table of {fragments} kinds of fragment x {destinations} destinations or origins \
         x {zone_sets} zone sets x {interfaces} interfaces x {rows} rows, and there is room for \
         {most} entries; most come from its {largest} {what}"
    )]
    Decisions {
        /// How many kinds of fragment its rules tell apart.
        fragments: usize,
        /// How many destinations.
        destinations: usize,
        /// How many distinct chains of nested zones.
        zone_sets: usize,
        /// How many interfaces, the rest counted as one.
        interfaces: usize,
        /// How many rows at least: kinds of message that its rules tell apart.
        rows: usize,
        /// How many entries there is room for.
        most: usize,
        /// The largest of these.
        largest: usize,
        /// Which that is, and what would make it smaller.
        what: &'static str,
    },
    /// The registry of classes is full.
    #[error(
        "{needed} pairs of type and code are to be counted apart, and there is room for {most}; \
         name fewer codes one by one, or use ranges; pairs that earlier policies named are kept \
         until the program is detached",
        most = CLASSES
    )]
    Classes {
        /// How many classes are needed.
        needed: usize,
    },
    /// The registry in the maps isn't one of this version.
    #[error("the registry of classes in the maps is not one of this version; detach and run again")]
    Registry,
    /// No limit is free.
    #[error(
        "the policy has too many limits: there is room for {most} in all, those of the policy in \
         force included",
        most = LIMITS
    )]
    Limits,
    /// No share is free.
    #[error(
        "the policy has too many limits that are a share of an interface's speed: there is room for \
         {most} in all, those of the policy in force included",
        most = SHARES
    )]
    Shares,
    /// The maps were made for another number of keys.
    #[error(
        "the policy wants room for {wanted} keys of limits, and this instance was made with room \
         for {found}; detach and run again, or leave `keys` out"
    )]
    Keys {
        /// How many the policy says.
        wanted: u32,
        /// How many there are.
        found: u32,
    },
    /// There are more interfaces than the maps hold.
    #[error("{found} interfaces are known, and one instance holds {most}", most = INTERFACES)]
    Interfaces {
        /// How many were given.
        found: usize,
    },
    /// There are more rules than the table holds.
    #[error("the policy has {found} rules, and there is room for {most}", most = RULES - 1)]
    Rules {
        /// How many there are.
        found: usize,
    },
}

/// What one hook is given.
#[derive(Debug)]
pub struct HookTable {
    /// The table. The loader fills in its generation and zone slot.
    pub table: Box<PolicyTable>,
    /// The names of the rules by their number in the table.
    pub rule_names: Vec<String>,
    /// For each rule of the table, its index in [`CheckedPolicy::rules`].
    pub rule_indices: Vec<usize>,
}

/// What the maps are given.
#[derive(Debug)]
pub struct Compiled {
    /// By hook.
    pub hooks: [HookTable; hook::COUNT],
    /// IPv4 prefixes, each with the number of its zone set.
    pub zones_v4: Vec<(Ipv4Net, u32)>,
    /// IPv6 prefixes, likewise.
    pub zones_v6: Vec<(Ipv6Net, u32)>,
    /// By number of a zone set, its zones, the longest prefix's first, as indices of
    /// [`CheckedPolicy::zones`]. The first is empty: no zone.
    pub zone_sets: Vec<Vec<usize>>,
    /// The limits that it uses.
    pub limits: Vec<LimitUse>,
    /// The registry of classes that it needs: what there was, and more behind.
    pub class_keys: Vec<ClassKey>,
    /// Interfaces that rules or `[groups]` name and that aren't among those known: what is said of them
    /// holds for nothing.
    pub absent_interfaces: Vec<String>,
    /// What is known of it, for `status`. The loader fills in generation and time.
    pub info: PolicyInfo,
}

impl CheckedPolicy {
    /// Makes the map entries.
    ///
    /// # Errors
    /// [`CompileError`] where they wouldn't fit.
    pub fn compile(&self, context: &CompileContext<'_>) -> Result<Compiled, CompileError> {
        if context.interface_names.len() > INTERFACES {
            return Err(CompileError::Interfaces { found: context.interface_names.len() });
        }
        let rules: Vec<&Rule> = self.rules.iter().collect();
        let zones = self.compile_zones(&rules);
        let class_keys = registry::extend(context.class_keys, &rules)?;
        let tick_units = context.tick_units.min(MAX_DEPTH);
        let mut assigner = Assigner::new(context.limit_owners, tick_units, context.secret);
        let mut limits = Vec::new();
        let mut compile = |hook: Hook| {
            self.compile_hook(hook, context, &zones, &class_keys, &mut assigner, &mut limits)
        };
        let hooks = [compile(Hook::Ingress)?, compile(Hook::Egress)?];

        let named = named_interfaces(&rules, self.groups.named(), context.interface_names);
        let groups = self.groups.compile(context.interface_names);
        let info = PolicyInfo {
            generation: 0,
            applied_unix_s: 0,
            rules: rules.len() as u32,
            prefixes: self.zones.iter().map(|z| z.prefixes.len() as u32).sum(),
            observe: u32::from(self.mode == Mode::Observe),
            schema: SCHEMA,
            secret: context.secret,
            gated: groups.gated,
            group_flags: groups.flags,
            learns: self.groups.learn.into(),
            profile: padded(self.profile.name().as_bytes()),
            path: padded(&self.absolute_path()),
        };
        Ok(Compiled {
            hooks,
            zones_v4: zones.v4,
            zones_v6: zones.v6,
            zone_sets: zones.chains,
            limits,
            class_keys,
            absent_interfaces: named.absent.into_iter().map(str::to_owned).collect(),
            info,
        })
    }

    /// Makes the table of one hook, of the rules that are of that hook.
    fn compile_hook(
        &self,
        hook: Hook,
        context: &CompileContext<'_>,
        zones: &ZoneSets,
        class_keys: &[ClassKey],
        assigner: &mut Assigner<'_>,
        limits: &mut Vec<LimitUse>,
    ) -> Result<HookTable, CompileError> {
        let of_hook = |(_, rule): &(usize, &Rule)| rule.pattern.hook() == hook;
        let (mut rule_indices, rules): (Vec<usize>, Vec<&Rule>) =
            self.rules.iter().enumerate().filter(of_hook).unzip();
        // One is kept for what no rule matches.
        if rules.len() >= RULES {
            return Err(CompileError::Rules { found: rules.len() });
        }
        let named = named_interfaces(&rules, [], context.interface_names);
        let interfaces = std::iter::once(None)
            .chain(named.present.iter().map(|name| Some((*name).to_owned())))
            .collect();
        // Where no rule of the hook names a zone, all are one.
        let by_zone = rules.iter().any(|rule| {
            let exempts = rule.penalty.as_ref().is_some_and(|p| !p.exempt.is_empty());
            rule.pattern.zone.is_some() || exempts
        });
        let chains = if by_zone { zones.chains.clone() } else { vec![Vec::new()] };
        let mut decider = Decider::new(&rules, decide::dimensions(&rules, chains, interfaces))?;

        // On the heap from the start: it is larger than a thread's stack has to be.
        let mut table = PolicyTable::new_box_zeroed()
            .unwrap_or_else(|_| handle_alloc_error(Layout::new::<PolicyTable>()));
        table.schema = SCHEMA;
        table.secret = context.secret;
        let sets = context.cell_sets.unwrap_or(self.cell_sets());
        if self.keys.is_some() && self.cell_sets() != sets {
            let keys = |sets: u32| sets * WAYS as u32;
            return Err(CompileError::Keys { wanted: keys(self.cell_sets()), found: keys(sets) });
        }
        table.cell_mask = sets - 1;
        // What no rule decides has what the policy says.
        let said = by_rule(&self.checks);
        for slot in &mut table.rules {
            (slot.checks_off, slot.checks_observe) = said;
        }
        table.checks_off = self.checks.bits(CheckMode::Off);
        table.checks_observe = self.checks.bits(CheckMode::Observe);
        table.routers = self.routers.len() as u32;
        for (slot, router) in table.listed.iter_mut().zip(&self.routers) {
            *slot = Address::from(*router).0;
        }
        table.groups = self.groups.compile(context.interface_names);
        write_classes(&mut table, &mut decider, class_keys)?;
        decider.write(&mut table.decisions);
        let mut rule_names: Vec<String> = rules.iter().map(|r| r.name.clone()).collect();
        limits.extend(write_rules(&mut table, &rules, self, hook, assigner)?);
        let mut twins = Twins { names: &mut rule_names, indices: &mut rule_indices };
        limits.extend(write_unknown_flows(&mut table, &rules, hook, assigner, &mut twins)?);
        write_exempt(&mut table, &rules, &decider, &mut twins)?;
        write_default(&mut table, &mut rule_names);

        let (dimensions, rows) = decider.dimensions();
        let rows = rows as u32;
        let per_zone = rows * dimensions.interfaces.len() as u32;
        let per_destination = per_zone * dimensions.chains.len() as u32;
        let per_fragment = per_destination * dimensions.places as u32;
        write_sole(&mut table, rows, per_fragment);
        let stride = |of: usize, stride: u32| if of > 1 { stride } else { 0 };
        table.zone_stride = stride(dimensions.chains.len(), per_zone);
        table.destination_stride = stride(dimensions.places, per_destination);
        table.fragment_stride = stride(dimensions.fragments, per_fragment);
        for (offset, name) in table.interfaces.iter_mut().zip(context.interface_names) {
            let place = dimensions.interfaces.iter().position(|i| i.is_some() && i == name);
            *offset = place.unwrap_or(0) as u32 * rows;
        }
        let flags = [
            (dimensions.places > 1, policy_flag::DESTINATION),
            (by_zone && !zones.v4.is_empty(), policy_flag::ZONES_V4),
            (by_zone && !zones.v6.is_empty(), policy_flag::ZONES_V6),
            (self.mode == Mode::Observe, policy_flag::OBSERVE),
        ];
        table.flags = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum();
        Ok(HookTable { table, rule_names, rule_indices })
    }

    /// The zones that rules name, by the family of address for which they do.
    pub(super) fn compile_zones(&self, rules: &[&Rule]) -> ZoneSets {
        let mut used = [vec![false; self.zones.len()], vec![false; self.zones.len()]];
        for pattern in rules.iter().map(|r| &r.pattern) {
            if let Some(zone) = pattern.zone {
                used[0][zone] |= pattern.covers_ipv4();
                used[1][zone] |= pattern.covers_ipv6();
            }
        }
        for rule in rules {
            for zone in rule.penalty.iter().flat_map(|p| &p.exempt) {
                used[0][*zone] |= rule.pattern.covers_ipv4();
                used[1][*zone] |= rule.pattern.covers_ipv6();
            }
        }
        zone::compile(&self.zones, &used[0], &used[1])
    }

    /// How many sets of cells hold the keys that it asks for: a power of two.
    #[must_use]
    pub fn cell_sets(&self) -> u32 {
        self.keys.map_or(CELL_SETS, |keys| keys.div_ceil(WAYS as u32).next_power_of_two())
    }

    /// The octets of the file's absolute path; none for a bare profile.
    fn absolute_path(&self) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        let Some(path) = &self.path else { return Vec::new() };
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        absolute.as_os_str().as_bytes().to_vec()
    }
}

impl Compiled {
    /// What a hook is given.
    #[must_use]
    pub fn hook(&self, hook: Hook) -> &HookTable {
        &self.hooks[usize::from(hook.index())]
    }
}

impl HookTable {
    /// The number of the rule that decides a packet, by the lookup that the kernel makes: the
    /// stable index of the interface, type and code where they are readable, its destination or
    /// origin, and the number of the zone set that the longest prefix of its source has, or of its
    /// destination.
    #[must_use]
    pub fn rule_for(
        &self,
        interface: usize,
        family: u8,
        message: Option<(u8, u8)>,
        fragment: u8,
        destination: u8,
        zone_set: u32,
    ) -> u16 {
        let table = &self.table;
        let entry = match message {
            Some((ty, code)) => table.classes[type_index(family, ty)][usize::from(code)],
            None => table.headerless[usize::from(family)],
        };
        if entry.sole != RULE_NONE && fragment == fragment::NONE {
            return entry.sole;
        }
        let index = u32::from(fragment) * table.fragment_stride
            + u32::from(destination) * table.destination_stride
            + zone_set * table.zone_stride
            + table.interfaces[interface]
            + u32::from(entry.row);
        table.decisions[index as usize]
    }
}

/// The interfaces that rules name, and others that the policy does, each once.
struct NamedInterfaces<'r> {
    present: Vec<&'r str>,
    absent: Vec<&'r str>,
}

fn named_interfaces<'r>(
    rules: &[&'r Rule],
    others: impl IntoIterator<Item = &'r str>,
    known: &[Option<String>],
) -> NamedInterfaces<'r> {
    let of_rules = rules.iter().filter_map(|r| r.pattern.interface.as_deref());
    let mut names: Vec<&str> = of_rules.chain(others).collect();
    names.sort_unstable();
    names.dedup();
    let (present, absent) =
        names.into_iter().partition(|name| known.iter().flatten().any(|k| k == name));
    NamedInterfaces { present, absent }
}

/// Gives every pair, and every family's headerless packets, its row and its class.
fn write_classes(
    table: &mut PolicyTable,
    decider: &mut Decider<'_>,
    keys: &[ClassKey],
) -> Result<(), CompileError> {
    for f in family::ALL {
        table.headerless[usize::from(f)] =
            ClassEntry { row: decider.headerless(f)?, class: class_headerless(f), ..NO_CLASS };
        for ty in 0..=u8::MAX {
            let rows = decider.codes(f, ty)?;
            for (entry, row) in table.classes[type_index(f, ty)].iter_mut().zip(rows) {
                *entry = ClassEntry { row, class: class_other(f), ..NO_CLASS };
            }
        }
    }
    for (key, class) in keys.iter().zip(0..) {
        // What an instance of another make left there may be of no family that we know.
        if let Some((family, ty, code)) = registry::pair(key)
            && family::ALL.contains(&family)
        {
            table.classes[type_index(family, ty)][usize::from(code)].class = class;
        }
    }
    // C3: what receivers must ignore is ignored.
    for f in family::ALL {
        for ty in (0..=u8::MAX).filter(|ty| code_ignored(f, *ty)) {
            let codes = &mut table.classes[type_index(f, ty)];
            *codes = [codes[0]; 256];
        }
    }
    Ok(())
}

/// An entry of no class.
const NO_CLASS: ClassEntry = ClassEntry { row: 0, class: 0, sole: RULE_NONE, pad: 0 };

/// Notes the rule of each row that has one and the same in all contexts but those of fragments, of which
/// there are `decisions`.
fn write_sole(table: &mut PolicyTable, rows: u32, decisions: u32) {
    let decisions = &table.decisions[..decisions as usize];
    let (first, others) = decisions.split_at(rows as usize);
    let mut sole = first.to_vec();
    for context in others.chunks_exact(rows as usize) {
        for (sole, rule) in sole.iter_mut().zip(context) {
            if sole != rule {
                *sole = RULE_NONE;
            }
        }
    }
    for entry in table.classes.iter_mut().flatten().chain(&mut table.headerless) {
        entry.sole = sole[usize::from(entry.row)];
    }
}

/// Of the faults that are judged by what the packet's rule says, those that aren't looked at and those that are
/// only noted.
fn by_rule(checks: &Checks) -> (u32, u32) {
    let of = |mode| checks.bits(mode) & JUDGED;
    (of(CheckMode::Off), of(CheckMode::Observe))
}

/// Writes the rules, and finds limits for those that have some.
fn write_rules(
    table: &mut PolicyTable,
    rules: &[&Rule],
    CheckedPolicy { checks, routers, .. }: &CheckedPolicy,
    hook: Hook,
    assigner: &mut Assigner<'_>,
) -> Result<Vec<LimitUse>, CompileError> {
    let mut uses = Vec::new();
    for ((slot, rule), number) in table.rules.iter_mut().zip(rules).zip(0..) {
        let under = checks.under(rule);
        let asked = rule.checks.iter().filter(|check| check.mode != Some(CheckMode::Off));
        slot.checks = asked.fold(0, |checks, check| checks | check.fault.bit());
        (slot.checks_off, slot.checks_observe) = by_rule(&under);
        let asks_flow = rule.asks_flow(&under);
        let flags = [
            (rule.mode == Mode::Observe, rule_flag::OBSERVE),
            (asks_flow, rule_flag::FLOW),
            (asks_flow && rule.excepts_own_requests(), rule_flag::EXCEPT_OWN_REQUESTS),
            (rule.asks_routes(&under), rule_flag::REDIRECT),
            (matches!(rule.effect(), Effect::Verify(_)), rule_flag::VERIFY),
            (rule.asks_routers(&under, routers), rule_flag::ROUTERS),
            (rule.excepts_listed_routers(), rule_flag::EXCEPT_LISTED_ROUTERS),
        ];
        slot.flags = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum();
        slot.unknown = RULE_NONE;
        let effect = rule.effect();
        match effect {
            Effect::Pass => (slot.action, slot.reason) = (action::PASS, Reason::ACCEPTED.0),
            Effect::Drop(reason) => (slot.action, slot.reason) = (action::DROP, reason.0),
            Effect::Limit(_) => {
                (slot.action, slot.reason) = (action::LIMIT, Reason::OVER_LIMIT.0);
                slot.penalty = rule.penalty.as_ref().map_or_else(Default::default, |penalty| {
                    let keyed = effect.limits().iter().filter(|l| l.is_by_key());
                    Penalty {
                        after: penalty.after,
                        within_s: penalty.within_s,
                        time_s: penalty.time_s,
                        flags: if penalty.off_link { flag::OFF_LINK } else { 0 },
                        keyed: keyed.take_while(|l| l.key != Key::Source).count() as u8,
                    }
                });
            }
            Effect::Reject(error, _) => {
                (slot.action, slot.reason) = (action::REJECT, Reason::DENIED.0);
                if let Some(error) = error {
                    (slot.answer_type, slot.answer_code) = (error.ty, error.code);
                    slot.answer_value = error.value;
                }
            }
            Effect::Reply(_) => (slot.action, slot.reason) = (action::REPLY, Reason::DENIED.0),
            Effect::Verify(limits) => {
                let limited = (action::LIMIT, Reason::OVER_LIMIT.0);
                let passes = (action::PASS, Reason::ACCEPTED.0);
                (slot.action, slot.reason) = if limits.is_empty() { passes } else { limited };
            }
        }
        let whose = Whose { number, rule, of_unknown: false };
        uses.extend(assigner.assign(whose, effect.limits(), hook.index(), slot)?);
    }
    Ok(uses)
}

/// Gives a rule that asks for flows and says what becomes of unknown ones a twin that does it.
fn write_unknown_flows(
    table: &mut PolicyTable,
    rules: &[&Rule],
    hook: Hook,
    assigner: &mut Assigner<'_>,
    twins: &mut Twins<'_>,
) -> Result<Vec<LimitUse>, CompileError> {
    let mut uses = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        let asks = table.rules[number].flags & rule_flag::FLOW != 0;
        let Some(unknown) = rule.unknown_flow.as_ref().filter(|_| asks) else { continue };
        let twin = twins.add(number)?;
        let mut slot = TableRule {
            flags: table.rules[number].flags & rule_flag::OBSERVE,
            unknown: RULE_NONE,
            ..TableRule::default()
        };
        match unknown {
            UnknownFlow::Drop => {
                (slot.action, slot.reason) = (action::DROP, Reason::UNKNOWN_FLOW.0);
            }
            UnknownFlow::Limit(limits) => {
                (slot.action, slot.reason) = (action::LIMIT, Reason::OVER_LIMIT.0);
                let whose = Whose { number: twin, rule, of_unknown: true };
                uses.extend(assigner.assign(whose, limits, hook.index(), &mut slot)?);
            }
        }
        table.rules[usize::from(twin)] = slot;
        table.rules[number].unknown = twin;
    }
    Ok(uses)
}

/// Rules of the table beside those that are written, each with the name of the one that it is a twin of.
struct Twins<'a> {
    names: &'a mut Vec<String>,
    indices: &'a mut Vec<usize>,
}

impl Twins<'_> {
    /// The number of one more, a twin of this one.
    fn add(&mut self, of: usize) -> Result<u16, CompileError> {
        let number = self.names.len();
        // One is kept for what no rule matches.
        if number >= RULES - 1 {
            return Err(CompileError::Rules { found: number + 1 });
        }
        self.names.push(self.names[of].clone());
        self.indices.push(self.indices[of]);
        Ok(number as u16)
    }
}

/// Gives a rule whose penalty exempts zones a twin without it, of the same limits, and the twin the
/// places of the table where the source is of such a zone: the kernel has nothing to ask.
fn write_exempt(
    table: &mut PolicyTable,
    rules: &[&Rule],
    decider: &Decider<'_>,
    twins: &mut Twins<'_>,
) -> Result<(), CompileError> {
    for (number, rule) in rules.iter().enumerate() {
        let Some(penalty) = rule.penalty.as_ref().filter(|p| !p.exempt.is_empty()) else {
            continue;
        };
        let twin = twins.add(number)?;
        table.rules[usize::from(twin)] =
            TableRule { penalty: Penalty::default(), ..table.rules[number] };
        let exempt = |chain: &[usize]| chain.iter().any(|zone| penalty.exempt.contains(zone));
        for place in decider.places(exempt) {
            if table.decisions[place] == number as u16 {
                table.decisions[place] = twin;
            }
        }
    }
    Ok(())
}

/// Gives what no rule matches a rule that passes. Every profile ends in rules that match all, so
/// this is for a profile to come that forgets.
fn write_default(table: &mut PolicyTable, names: &mut Vec<String>) {
    let number = names.len();
    let mut missing = false;
    for decision in table.decisions.iter_mut().filter(|d| **d == RULE_NONE) {
        *decision = number as u16;
        missing = true;
    }
    if missing {
        table.rules[number] =
            TableRule { action: action::PASS, reason: Reason::ACCEPTED.0, ..table.rules[number] };
        names.push("default".to_owned());
    }
}

/// Octets in a field, padded with zeros or cut at the front; one zero always stands at the end.
fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let octets = &octets[octets.len().saturating_sub(N - 1)..];
    let mut field = [0; N];
    field[..octets.len()].copy_from_slice(octets);
    field
}
