//! The real program in a private instance, and what it did with a frame.
//!
//! Every frame is held against the invariant of the house: one verdict, one reason, counted once.
//! [`Gate::run`] looks at the counters after each frame; [`Gate::send`] notes what must have been
//! counted, and [`Gate::settle`] compares all of it at once, for sweeps of thousands.

use crate::{in_vm, require_root};
use icmp_common::{
    abi::{
        CLASS_NOT_OURS, ClassKey, Counter, RULE_NONE, Trace, checksum, class_headerless,
        class_kind, class_other, family, fragment, origin, tc_action,
    },
    verdict::{Mode, Outcome, Reason, Verdict},
};
use icmpgate::{
    datapath::{Counters, Endpoint, Error, Instance, LocalAddress, Program},
    policy::{self, CheckedPolicy, Compiled, Hook, Profile},
};
use std::{
    collections::BTreeMap,
    fmt,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

/// `XDP_DROP`.
const XDP_DROP: u32 = 1;
/// `XDP_PASS`.
const XDP_PASS: u32 = 2;
/// `XDP_TX`.
const XDP_TX: u32 = 3;

/// The name that the interface of a gate has unless it is given another.
pub const INTERFACE: &str = "test0";

/// A policy with one rule a family, which passes whatever the checks let through.
pub const OPEN: &str = r#"
profile = "host"
[[rule]]
name = "v4"
family = "icmpv4"
action = "pass"
[[rule]]
name = "v6"
family = "icmpv6"
action = "pass"
[[rule]]
name = "igmp"
family = "igmp"
action = "pass"
"#;

/// The text of a policy as it is checked; panics with its mistakes.
#[must_use]
pub fn policy(text: &str) -> CheckedPolicy {
    policy::from_str("test.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What the program did with one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it noted.
    pub trace: Trace,
    /// What its class stands for.
    pub class: ClassKey,
    /// The name of the rule, where one decided.
    pub rule: Option<String>,
}

impl Seen {
    fn outcome(&self) -> Outcome {
        Outcome(self.trace.outcome)
    }

    /// What became of the frame.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.outcome().verdict()
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.outcome().reason()
    }

    /// Whether the verdict was carried out.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.outcome().mode()
    }
}

/// What was seen, as tables of tests write it: what the frame is, what became of it and why, by
/// which rule.
///
/// `icmpv4 8/0 good -> pass accepted by v4`; `icmpv4 8/0 unverified first -> ...`; a later fragment
/// is `icmpv4 later`, a packet cut before its message `icmpv4`, what isn't ours `none`; what is
/// only observed has `(observed)` behind its verdict.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = &self.trace;
        f.write_str(family::label(t.family))?;
        if t.has_type == 1 {
            write!(f, " {}/{}", t.ty, t.code)?;
        }
        if let Some(checksum) = checksum::label(t.checksum) {
            write!(f, " {checksum}")?;
        }
        if t.fragment != fragment::NONE {
            write!(f, " {}", fragment::label(t.fragment))?;
        }
        write!(f, " -> {}", self.verdict().label())?;
        if self.mode() == Mode::Observe {
            f.write_str(" (observed)")?;
        }
        write!(f, " {}", self.reason().label())?;
        match &self.rule {
            Some(rule) => write!(f, " by {rule}"),
            None => Ok(()),
        }
    }
}

/// By hook, class and outcome.
type Counts = BTreeMap<(u8, u16, u8), Counter>;

/// The real program, a policy, and what has been sent.
pub struct Gate {
    instance: Instance,
    compiled: Compiled,
    keys: Vec<ClassKey>,
    counted: Counts,
}

impl Gate {
    /// A new instance with a policy in TOML.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::on(INTERFACE, text)
    }

    /// An instance with the policy [`OPEN`]: see [`Gate::with`].
    #[must_use]
    pub fn open() -> Lease {
        Self::with(&policy(OPEN))
    }

    /// An instance with a policy, which may be one that another test has left: loading is most of
    /// what a short test takes. Its counters, classes and generation are those of before.
    #[must_use]
    pub fn with(policy: &CheckedPolicy) -> Lease {
        let left = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let gate = match left {
            None => Self::load(INTERFACE, policy),
            Some(mut gate) => {
                gate.apply_checked(policy).unwrap_or_else(|error| panic!("{error}"));
                gate.local(&[]);
                gate
            }
        };
        Lease(Some(gate))
    }

    /// A new instance with a bare profile.
    #[must_use]
    pub fn profile(profile: Profile) -> Self {
        Self::load(INTERFACE, &policy::profile(profile))
    }

    /// A new instance on an interface of this name.
    #[must_use]
    pub fn on(interface: &str, text: &str) -> Self {
        Self::load(interface, &policy(text))
    }

    /// A new instance on one of several interfaces: on that with this stable index.
    #[must_use]
    pub fn among(interfaces: &[&str], index: u32, text: &str) -> Self {
        Self::load_among(interfaces, index, &policy(text))
    }

    fn load(interface: &str, policy: &CheckedPolicy) -> Self {
        Self::load_among(&[interface], 0, policy)
    }

    fn load_among(interfaces: &[&str], index: u32, policy: &CheckedPolicy) -> Self {
        require_root();
        let loaded = Instance::private_among(policy, true, interfaces, index);
        let (instance, compiled) = loaded.unwrap_or_else(|error| panic!("{error}"));
        let keys = compiled.class_keys.clone();
        Self { instance, compiled, keys, counted: BTreeMap::new() }
    }

    /// Puts another policy in force.
    pub fn apply(&mut self, text: &str) {
        self.apply_checked(&policy(text)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Puts a bare profile in force.
    pub fn apply_profile(&mut self, profile: Profile) {
        self.apply_checked(&policy::profile(profile)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Puts another policy in force, if it fits.
    ///
    /// # Errors
    /// Where it doesn't.
    pub fn apply_checked(&mut self, policy: &CheckedPolicy) -> Result<(), Error> {
        self.compiled = self.instance.maps().apply(policy)?;
        self.keys = self.instance.maps().class_keys()?;
        assert_eq!(self.keys, self.compiled.class_keys, "the registry is what the policy says");
        Ok(())
    }

    /// Makes these the addresses of this machine, each with its kind.
    pub fn local(&mut self, addresses: &[(&str, u32)]) {
        let octets = |text: &str| match text.parse().expect("an address") {
            std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(v6) => v6.octets(),
        };
        let addresses: Vec<_> = addresses
            .iter()
            .map(|(a, kind)| LocalAddress { octets: octets(a), kind: *kind })
            .collect();
        assert_eq!(self.instance.maps().set_local(&addresses).expect("written"), 0);
    }

    /// Makes this what the interface answers from.
    pub fn endpoint(&mut self, endpoint: &Endpoint) {
        self.instance.maps().set_endpoint(0, endpoint).expect("written");
    }

    /// The instance, for what has no shorter way.
    pub fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// The instance, shared.
    #[must_use]
    pub fn shared(&self) -> &Instance {
        &self.instance
    }

    /// What the policy in force was compiled to.
    #[must_use]
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// The policies that have been put in force.
    pub fn generation(&mut self) -> u64 {
        self.instance.maps().policy_info().expect("readable").generation
    }

    /// Runs a frame and looks at every counter: only its own may have moved, by one packet and the
    /// frame's octets. Inside an emulated machine, where reading them all takes longer than
    /// everything else, that is left to [`Gate::settle`].
    pub fn run(&mut self, frame: &[u8]) -> Seen {
        let seen = self.send(frame);
        if !in_vm() {
            self.settle();
        }
        seen
    }

    /// Runs a frame and notes what must have been counted.
    pub fn send(&mut self, frame: &[u8]) -> Seen {
        self.meet(Hook::Ingress, origin::GENERATED, frame).0
    }

    /// Runs a frame through the program for what is sent, as of one of [`origin`], and looks at the
    /// counters as [`Gate::run`] does.
    pub fn run_egress(&mut self, from: u8, frame: &[u8]) -> Seen {
        let seen = self.send_egress(from, frame);
        if !in_vm() {
            self.settle();
        }
        seen
    }

    /// Likewise, without looking at the counters.
    pub fn send_egress(&mut self, from: u8, frame: &[u8]) -> Seen {
        self.meet(Hook::Egress, from, frame).0
    }

    /// As [`Gate::run`], with the frame as the program left it.
    pub fn answer(&mut self, frame: &[u8]) -> (Seen, Vec<u8>) {
        let answered = self.send_for_output(frame);
        if !in_vm() {
            self.settle();
        }
        answered
    }

    /// As [`Gate::send`], with the frame as the program left it.
    pub fn send_for_output(&mut self, frame: &[u8]) -> (Seen, Vec<u8>) {
        self.meet(Hook::Ingress, origin::GENERATED, frame)
    }

    fn meet(&mut self, hook: Hook, from: u8, frame: &[u8]) -> (Seen, Vec<u8>) {
        let (program, drop, pass) = match hook {
            Hook::Ingress => (Program::Ingress, XDP_DROP, XDP_PASS),
            Hook::Egress => (Program::Egress, tc_action::SHOT as u32, tc_action::UNSPEC as u32),
        };
        let run = self.instance.run_for_output(program, from, frame);
        let (run, output) = run.unwrap_or_else(|error| panic!("{error}: {}", hex(frame)));
        let trace = self.instance.trace().expect("loaded for tracing");
        let seen = self.seen(hook, trace, frame);
        let action = match seen.verdict() {
            Verdict::Drop => drop,
            Verdict::Pass => pass,
            Verdict::Tx => XDP_TX,
        };
        assert_eq!(run.action, action, "the action is the verdict's: {seen}: {}", hex(frame));
        let key = (hook.index(), trace.class, trace.outcome);
        let counter = self.counted.entry(key).or_default();
        counter.packets += 1;
        counter.octets += frame.len() as u64;
        // What passes is what came.
        assert!(seen.verdict() != Verdict::Pass || output == frame, "{seen}: {}", hex(frame));
        (seen, output)
    }

    /// Compares the counters with what was sent. Nothing may have overflowed.
    pub fn settle(&mut self) {
        let counters = self.counters();
        let is: Counts =
            counters.entries.iter().map(|e| ((e.hook, e.class, e.outcome.0), e.count)).collect();
        if is != self.counted {
            let differing = |a: &Counts, b: &Counts| -> Vec<String> {
                a.iter().filter(|(k, v)| b.get(k) != Some(v)).map(|e| format!("{e:?}")).collect()
            };
            let (moved, should) = (differing(&is, &self.counted), differing(&self.counted, &is));
            panic!("counted {moved:#?}, should be {should:#?}");
        }
        assert_eq!(counters.overflow.packets, 0, "counters that found no place");
    }

    /// The counters as they are.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.instance.counters().expect("readable")
    }

    /// The trace with its names, and what must hold of every trace.
    fn seen(&self, hook: Hook, trace: Trace, frame: &[u8]) -> Seen {
        let rule = (trace.rule != RULE_NONE)
            .then(|| self.compiled.hook(hook).rule_names[usize::from(trace.rule)].clone());
        let class = self.keys[usize::from(trace.class)];
        let seen = Seen { trace, class, rule };
        let consistent = match class.kind {
            class_kind::NOT_OURS => trace.class == CLASS_NOT_OURS && trace.family == family::NONE,
            class_kind::HEADERLESS => {
                trace.has_type == 0 && trace.class == class_headerless(trace.family)
            }
            class_kind::OTHER => trace.has_type == 1 && trace.class == class_other(trace.family),
            _ => {
                let key = (class.family, class.ty, class.code);
                trace.has_type == 1 && key == (trace.family, trace.ty, counted_code(&trace))
            }
        };
        assert!(consistent, "the class is the message's: {class:?} of {seen}: {}", hex(frame));
        assert!(
            seen.reason().entry().is_some() && seen.reason() != Reason::INTERNAL_ERROR,
            "{seen}: {}",
            hex(frame)
        );
        seen
    }
}

/// The code that a message is counted under: receivers ignore those of packet too big (RFC 4443
/// 3.2), of MLD (RFC 2710 3.2, RFC 9777 5.1.2, 5.2.1) and of router discovery (RFC 4286).
#[must_use]
pub fn counted_code(trace: &Trace) -> u8 {
    match (trace.family, trace.ty) {
        (family::ICMPV6, 2 | 130..=132 | 143 | 151..=153) => 0,
        _ => trace.code,
    }
}

/// Gates that tests have left.
static POOL: Mutex<Vec<Gate>> = Mutex::new(Vec::new());

/// A gate that is left to other tests.
pub struct Lease(Option<Gate>);

impl Deref for Lease {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        self.0.as_ref().expect("taken only when dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Gate {
        self.0.as_mut().expect("taken only when dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What has failed may have left anything.
        if let Some(gate) = self.0.take().filter(|_| !std::thread::panicking()) {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).push(gate);
        }
    }
}

/// Runs each frame of a table and compares what was seen with what the table says; all that differ
/// are told.
pub fn check<F: Into<Vec<u8>>, N: AsRef<str>>(
    gate: &mut Gate,
    cases: impl IntoIterator<Item = (N, F, impl AsRef<str>)>,
) {
    let mut wrong = Vec::new();
    let mut n = 0;
    for (name, frame, expected) in cases {
        let frame = frame.into();
        let seen = gate.run(&frame).to_string();
        let (name, expected) = (name.as_ref(), expected.as_ref());
        if seen != expected {
            wrong.push(format!(
                "{name}:\n  is        {seen}\n  should be {expected}\n  {}",
                hex(&frame)
            ));
        }
        n += 1;
    }
    gate.settle();
    assert!(wrong.is_empty(), "{} of {n} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Octets from two hexadecimal digits each, nothing between them.
#[must_use]
pub fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("digits"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

/// Octets in hexadecimal, as `icmpgate explain --hex` takes them; of long frames the beginning, and
/// how many there are.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    use fmt::Write as _;
    const SHOWN: usize = 512;
    let shown = &octets[..octets.len().min(SHOWN)];
    let mut text = shown.iter().fold(String::new(), |mut text, octet| {
        // Writing into a string can't fail.
        let _ = write!(text, "{octet:02x}");
        text
    });
    if octets.len() > SHOWN {
        let _ = write!(text, "... ({} octets)", octets.len());
    }
    text
}
