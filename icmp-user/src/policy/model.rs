//! What a policy says, once read: the rules as written, and what of them is in force.

use super::values::Values;
use super::{Groups, Profile};
use icmp_common::abi::{destination, family, fragment, hook, limit_key};
use icmp_common::answer::Error;
use icmp_common::bucket::{Limit, Unit};
use icmp_common::classify::is_error;
use icmp_common::flow::answered;
use icmp_common::link::advertises_router;
use icmp_common::redirect::is_redirect;
use icmp_common::share::{self, Share, Speed};
use icmp_common::verdict::{BY_ROUTES, FAULTS, Mode, Reason};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// A policy that holds together.
#[derive(Clone, Debug)]
pub struct CheckedPolicy {
    /// What messages call it: the file's path as it was typed, or the profile's name.
    pub name: String,
    /// The file, where it came from one.
    pub path: Option<PathBuf>,
    /// What stood in it.
    pub text: Option<String>,
    /// The profile it starts from.
    pub profile: Profile,
    /// Whether verdicts are carried out.
    pub mode: Mode,
    /// What is done about each fault.
    pub checks: Checks,
    /// How many keys its limits can hold at once, where it says so.
    pub keys: Option<u32>,
    /// The speeds that it gives interfaces, in place of those that their drivers say.
    pub speeds: BTreeMap<String, Speed>,
    /// The routers whose advertisements are taken, where it lists some.
    pub routers: Vec<IpAddr>,
    /// What it says of groups.
    pub groups: Groups,
    /// Keys of `[groups]` that come to nothing since nothing is gated, with the lines that they stand on.
    pub idle_keys: Vec<(&'static str, usize)>,
    /// The zones, those that only a rule of the profile names included (without prefixes).
    pub zones: Vec<Zone>,
    /// The operator's rules, then the profile's, each in the order in which they are written.
    pub rules: Vec<Rule>,
}

/// A named list of prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Its prefixes, of both families, without host bits.
    pub prefixes: Vec<IpNet>,
}

/// Who wrote a rule. The operator's comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// The operator's own file.
    Operator,
    /// The profile.
    Profile,
}

/// What is done about a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CheckMode {
    /// The packet is dropped.
    #[default]
    Enforce,
    /// It is noted, and the packet passes.
    Observe,
    /// It isn't looked at.
    Off,
}

impl CheckMode {
    /// Every mode, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Enforce, Self::Observe, Self::Off];

    /// The label used in policy files.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }
}

/// What is done about each fault, by the index of its reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks([CheckMode; FAULTS as usize]);

impl Checks {
    /// What is done about this fault.
    #[must_use]
    pub fn get(&self, fault: Reason) -> CheckMode {
        self.0.get(usize::from(fault.0)).copied().unwrap_or_default()
    }

    /// Says what is done about this fault. A reason that isn't one is left alone.
    pub fn set(&mut self, fault: Reason, mode: CheckMode) {
        if let Some(slot) = self.0.get_mut(usize::from(fault.0)) {
            *slot = mode;
        }
    }

    /// The fault set of those in this mode.
    #[must_use]
    pub fn bits(&self, mode: CheckMode) -> u32 {
        self.faults().filter(|(_, m)| *m == mode).fold(0, |bits, (fault, _)| bits | fault.bit())
    }

    /// What is done about each fault where this rule decides.
    #[must_use]
    pub fn under(&self, rule: &Rule) -> Self {
        let mut checks = self.clone();
        for RuleCheck { fault, mode } in &rule.checks {
            checks.set(*fault, mode.unwrap_or(self.get(*fault)));
        }
        checks
    }

    /// Every fault that there is, and what is done about it.
    pub fn faults(&self) -> impl Iterator<Item = (Reason, CheckMode)> {
        (0..FAULTS).map(Reason).filter(|r| r.entry().is_some()).map(|r| (r, self.get(r)))
    }
}

/// The hook at which a rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// What arrives.
    Ingress,
    /// What this machine sends.
    Egress,
}

impl Hook {
    /// Both.
    pub const ALL: [Self; hook::COUNT] = [Self::Ingress, Self::Egress];

    /// One of [`hook`].
    #[must_use]
    pub const fn index(self) -> u8 {
        match self {
            Self::Ingress => hook::INGRESS,
            Self::Egress => hook::EGRESS,
        }
    }

    /// The label used in policy files, metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        hook::label(self.index())
    }
}

/// Which packets a rule is about. `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// The hook, where it is written; [`Pattern::hook`] says which it is.
    pub hook: Option<Hook>,
    /// One of [`family`].
    pub family: Option<u8>,
    /// The types. Where given, the family is known too.
    pub types: Option<Values>,
    /// The codes. Where given, the types are too.
    pub codes: Option<Values>,
    /// The zone of the source address, of what is sent of the destination: an index of [`CheckedPolicy::zones`].
    pub zone: Option<usize>,
    /// The name of the interface.
    pub interface: Option<String>,
    /// One of [`icmp_common::abi::destination`]; of what arrives.
    pub destination: Option<u8>,
    /// One of [`icmp_common::abi::origin`]; of what is sent.
    pub origin: Option<u8>,
    /// One of [`fragment`].
    pub fragment: Option<u8>,
}

impl Pattern {
    /// Whether it is about a message of this family, type and code; a packet without readable ones
    /// is only matched by what names neither.
    #[must_use]
    pub fn matches_message(&self, family: u8, message: Option<(u8, u8)>) -> bool {
        self.family.is_none_or(|f| f == family)
            && match message {
                Some((ty, code)) => {
                    self.types.as_ref().is_none_or(|t| t.contains(ty))
                        && self.codes.as_ref().is_none_or(|c| c.contains(code))
                }
                None => self.types.is_none() && self.codes.is_none(),
            }
    }

    /// The hook at which it is asked: where none is written, ingress. A rule that an operator wrote
    /// for what arrives mustn't come to bear on what is sent once a version has that hook.
    #[must_use]
    pub fn hook(&self) -> Hook {
        self.hook.unwrap_or(Hook::Ingress)
    }

    /// Whether it can be about a packet that has IPv4 addresses.
    #[must_use]
    pub fn covers_ipv4(&self) -> bool {
        self.family != Some(family::ICMPV6)
    }

    /// Whether it can be about a packet that has IPv6 addresses.
    #[must_use]
    pub fn covers_ipv6(&self) -> bool {
        self.family.is_none_or(|f| f == family::ICMPV6)
    }

    /// Whether it can be about an error, or an answer to a request of this machine's.
    #[must_use]
    pub fn can_have_flow(&self) -> bool {
        self.matches_any(|family, ty| is_error(family, ty) || answered(family, ty).is_some())
    }

    /// Whether it can be about a message of a family and type of which this holds.
    #[must_use]
    pub fn matches_any(&self, of: impl Fn(u8, u8) -> bool) -> bool {
        let matches = |ty| self.types.as_ref().is_none_or(|types| types.contains(ty));
        let is = |family: u8| (0..=u8::MAX).any(|ty| matches(ty) && of(family, ty));
        let mut families =
            family::ALL.into_iter().filter(|f| self.family.is_none_or(|own| own == *f));
        !self.is_later_fragment() && families.any(is)
    }

    /// Whether it is about later fragments only.
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment == Some(fragment::LATER)
    }
}

/// What a rule says is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Pass.
    Pass,
    /// Drop.
    Drop,
    /// Pass within the limits, drop beyond them.
    Limit,
    /// Answer with an ICMP error, within the limits; drop where none may be sent.
    Reject,
    /// Answer the request that it is, likewise.
    Reply,
    /// Pass a redirect that agrees with the routes in use, within the limits, and drop others (row V5).
    VerifyRedirect,
}

impl Action {
    /// The label used in policy files.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Limit => "limit",
            Self::Reject => "reject",
            Self::Reply => "reply",
            Self::VerifyRedirect => "verify-redirect",
        }
    }
}

/// What the rate of a limit is counted over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Every {
    /// A second.
    #[default]
    Second,
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
}

impl Every {
    /// Every period, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    /// The label used in policy files.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }

    /// Its length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }
}

/// What shares one bucket of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Key {
    /// Everything that the rule matches.
    #[default]
    Total,
    /// What has one source.
    Source,
    /// What has one destination.
    Destination,
    /// What is on one interface.
    Link,
}

impl Key {
    /// Every key, in the order in which messages list them.
    pub const ALL: [Self; 4] = [Self::Total, Self::Source, Self::Destination, Self::Link];

    /// The label used in policy files.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Total => limit_key::label(limit_key::TOTAL),
            Self::Source => limit_key::label(limit_key::SOURCE),
            Self::Destination => limit_key::label(limit_key::DESTINATION),
            Self::Link => limit_key::label(limit_key::LINK),
        }
    }

    /// One of [`limit_key`].
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Total => limit_key::TOTAL,
            Self::Source => limit_key::SOURCE,
            Self::Destination => limit_key::DESTINATION,
            Self::Link => limit_key::LINK,
        }
    }

    /// Whether it is an address, so that prefixes of it can share a bucket.
    #[must_use]
    pub const fn is_address(self) -> bool {
        matches!(self, Self::Source | Self::Destination)
    }
}

/// How much a limit lets pass over time, and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pace {
    /// A number.
    Rate {
        /// How many in each period.
        rate: u64,
        /// How many at once.
        burst: u64,
        /// The period.
        every: Every,
        /// What is counted.
        unit: Unit,
    },
    /// A share of the speed of the interface, in octets.
    Share {
        /// Which.
        share: Share,
        /// In how many milliseconds the burst comes back.
        burst_ms: u16,
    },
}

/// A limit, as written. It can be kept: [`RateLimit::bucket`] was tried when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// How much passes.
    pub pace: Pace,
    /// What shares a bucket; of a share, [`Key::Link`].
    pub key: Key,
    /// Whether it is a reserve: no other class draws on it, and what is beyond it is said to be
    /// beyond a reserve (row L2).
    pub reserve: bool,
    /// How many bits of an IPv4 address make a key; all where none is given.
    pub prefix_v4: Option<u8>,
    /// How many bits of an IPv6 address; where none is given, 64 for what is behind a router and
    /// all for what is on a network of this machine.
    pub prefix_v6: Option<u8>,
    /// Whether what a packet is charged is randomised, as it is for what strangers share.
    pub random: bool,
}

impl RateLimit {
    /// The limit in the unit of the bucket, the cost of a share being a factor; `None` where it can't be
    /// kept, which reading refuses.
    #[must_use]
    pub fn bucket(&self) -> Option<Limit> {
        match self.pace {
            Pace::Rate { rate, burst, every, unit } => {
                Limit::new(rate, every.seconds(), burst, unit).ok()
            }
            Pace::Share { share, burst_ms } => {
                Some(Limit { cost: share.factor(), depth: share::depth(burst_ms.into()) })
            }
        }
    }

    /// Whether it is a share of the interface's speed.
    #[must_use]
    pub const fn is_share(&self) -> bool {
        matches!(self.pace, Pace::Share { .. })
    }

    /// Whether its buckets are cells, found by key. Those of a share aren't: to what draws on it, it is
    /// a limit in total.
    #[must_use]
    pub fn is_by_key(&self) -> bool {
        self.key != Key::Total && !self.is_share()
    }
}

/// When a rule boxes a source that keeps exceeding its limit by source (row L3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Penalty {
    /// At which packet beyond the limit, from 1.
    pub after: u32,
    /// Within how many seconds of the first of them: 1 to 60.
    pub within_s: u8,
    /// For how many seconds: 1 to 60.
    pub time_s: u8,
    /// Whether sources behind a gateway are boxed, too.
    pub off_link: bool,
    /// The zones whose sources never are: indices of [`CheckedPolicy::zones`].
    pub exempt: Vec<usize>,
}

/// What becomes of an error whose flow is unknown (row V4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnknownFlow {
    /// It is dropped.
    Drop,
    /// It is limited by a budget of its own: all of these.
    Limit(Vec<RateLimit>),
}

/// The name of the exception for gateways.
const GATEWAY: &str = "gateway";
/// That for what answers this machine's own requests.
const OWN_REQUESTS: &str = "own-requests";
/// That for advertisements of listed routers.
const LISTED_ROUTERS: &str = "listed-routers";

/// A rule, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique in the policy. Those of profiles have a slash, those of files can't.
    pub name: String,
    /// Who wrote it.
    pub layer: Layer,
    /// The profile in whose file it stands, where it is one's.
    pub profile: Option<Profile>,
    /// The line that its header stands on, in its file; from 1.
    pub line: usize,
    /// Which packets it is about.
    pub pattern: Pattern,
    /// What it says is done.
    pub action: Action,
    /// The error that it answers with, where it says; else that of its family for *administratively
    /// prohibited*.
    pub answer: Option<Error>,
    /// Its limits: on what passes where the action is [`Action::Limit`], on the answers where it is
    /// [`Action::Reject`] or [`Action::Reply`].
    pub limits: Vec<RateLimit>,
    /// When it boxes a source.
    pub penalty: Option<Penalty>,
    /// Whether its verdict is carried out.
    pub mode: Mode,
    /// The checks (rows V2 to V8) that it names.
    pub checks: Vec<RuleCheck>,
    /// What becomes of errors whose flow is unknown.
    pub unknown_flow: Option<UnknownFlow>,
    /// What it spares, by name.
    pub except: Vec<String>,
    /// Where it is laid down: an RFC and section, or a sentence of the operator's.
    pub source: Option<String>,
}

/// A check that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCheck {
    /// The fault that it finds.
    pub fault: Reason,
    /// What is done about what it finds, in transit as well; `None` where the rule only asks for it there, and
    /// `[checks]` says the rest.
    pub mode: Option<CheckMode>,
}

/// What a rule comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Pass.
    Pass,
    /// Drop, for this reason.
    Drop(Reason),
    /// Pass within all of these limits, drop beyond any.
    Limit(&'a [RateLimit]),
    /// Answer with this error within all of these limits, else drop. Where there is none, it is the one
    /// that the packet's family has for *administratively prohibited*.
    Reject(Option<Error>, &'a [RateLimit]),
    /// Reply within all of these limits, else drop.
    Reply(&'a [RateLimit]),
    /// Pass a redirect that the routes bear out within all of these limits, else drop.
    Verify(&'a [RateLimit]),
}

impl<'a> Effect<'a> {
    /// The limits that it is asked about.
    #[must_use]
    pub const fn limits(&self) -> &'a [RateLimit] {
        match self {
            Self::Limit(limits)
            | Self::Reject(_, limits)
            | Self::Reply(limits)
            | Self::Verify(limits) => limits,
            Self::Pass | Self::Drop(_) => &[],
        }
    }
}

impl Rule {
    /// Whether packets from a gateway of this machine are outside its limits by link.
    #[must_use]
    pub fn excepts_gateway(&self) -> bool {
        self.except.iter().any(|e| e == GATEWAY)
    }

    /// Whether what answers a request of this machine's own passes, though it drops.
    #[must_use]
    pub fn excepts_own_requests(&self) -> bool {
        self.action == Action::Drop && self.except.iter().any(|e| e == OWN_REQUESTS)
    }

    /// Whether advertisements of listed routers pass, though it drops.
    #[must_use]
    pub fn excepts_listed_routers(&self) -> bool {
        self.action == Action::Drop && self.except.iter().any(|e| e == LISTED_ROUTERS)
    }

    /// Whether it has router advertisements held against these, where these checks are made under it: those of a family
    /// of which one is listed, unless they are dropped anyway.
    #[must_use]
    pub fn asks_routers(&self, under: &Checks, routers: &[IpAddr]) -> bool {
        let of_family = |family: u8| {
            routers.iter().any(|router| router.is_ipv6() == (family == family::ICMPV6))
        };
        let advertises = |family, ty| advertises_router(family, ty) && of_family(family);
        let is_off = under.get(Reason::ROUTER_UNLISTED) == CheckMode::Off;
        let passes = matches!(self.effect(), Effect::Pass | Effect::Limit(_));
        self.pattern.hook() == Hook::Ingress
            && self.pattern.matches_any(advertises)
            && passes
            && !is_off
    }

    /// Whether it asks whose flow a packet is about, where these checks are made under it ([`Checks::under`]). It isn't
    /// asked of what is dropped anyway, nor of what is in transit unless the rule says so.
    #[must_use]
    pub fn asks_flow(&self, under: &Checks) -> bool {
        let named = self.checks.iter().any(|check| check.fault == Reason::FLOW_CONTRADICTED);
        let is_off = under.get(Reason::FLOW_CONTRADICTED) == CheckMode::Off;
        let is_judged = self.pattern.destination != Some(destination::TRANSIT) || named && !is_off;
        let decides = match self.effect() {
            Effect::Drop(_) => self.excepts_own_requests(),
            Effect::Reject(..) | Effect::Reply(_) => false,
            _ => self.unknown_flow.is_some() || !is_off && self.pattern.matches_any(is_error),
        };
        self.pattern.hook() == Hook::Ingress && self.pattern.can_have_flow() && is_judged && decides
    }

    /// Whether it has redirects that arrive held against the routes, where these checks are made under it. It isn't
    /// asked of what is dropped anyway, nor of what is in transit, which the routes of this machine say nothing of.
    #[must_use]
    pub fn asks_routes(&self, under: &Checks) -> bool {
        let is_off = |(fault, mode): (Reason, CheckMode)| {
            BY_ROUTES & fault.bit() == 0 || mode == CheckMode::Off
        };
        let decides = match self.effect() {
            Effect::Drop(_) | Effect::Reject(..) | Effect::Reply(_) => false,
            Effect::Verify(_) => true,
            _ => !under.faults().all(is_off),
        };
        self.pattern.hook() == Hook::Ingress
            && self.pattern.destination != Some(destination::TRANSIT)
            && self.pattern.matches_any(is_redirect)
            && decides
    }

    /// What it comes to.
    #[must_use]
    pub fn effect(&self) -> Effect<'_> {
        match self.action {
            Action::Pass => Effect::Pass,
            Action::Drop => Effect::Drop(Reason::DENIED),
            Action::VerifyRedirect => Effect::Verify(&self.limits),
            Action::Limit => Effect::Limit(&self.limits),
            Action::Reject => Effect::Reject(self.answer, &self.limits),
            Action::Reply => Effect::Reply(&self.limits),
        }
    }
}
