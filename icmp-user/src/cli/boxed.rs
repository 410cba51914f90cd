//! `status --boxed` and `status --release`: who is in the penalty box, and letting them out.

use super::{
    DONE, FAILED,
    output::{Out, columns, say},
    status::open,
};
use crate::{
    datapath::{BoxedSource, PinDir, text},
    observe::{BoxedState, PenaltyState},
};
use serde::Serialize;
use std::{io::Write as _, net::IpAddr, process::ExitCode, str::FromStr};

/// Whom to let out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Everybody.
    All,
    /// The source of this address, or whose prefix it is in.
    Address(IpAddr),
}

impl FromStr for Release {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            _ => text.parse().map(Self::Address).map_err(|_| "expected an address, or all"),
        }
    }
}

impl Release {
    fn is(self, source: &BoxedSource) -> bool {
        match self {
            Self::All => true,
            Self::Address(address) => source.prefix().contains(&address),
        }
    }
}

/// What is said of an empty box: an answer, not a failure.
const NOBODY: &str = "nobody is in the penalty box";

/// The penalty box, as programs read it.
#[derive(Serialize)]
pub struct PenaltyBox {
    sources: Vec<Source>,
    /// Whether a rule of the policy in force has a penalty.
    wanted: bool,
    /// Whether an `icmpgate run` keeps up with the neighbours; without one, nobody is boxed.
    watching: bool,
}

#[derive(Serialize)]
struct Source {
    source: String,
    hardware: String,
    interface: String,
    rule: String,
    left_s: f64,
    dropped: u64,
}

impl From<&BoxedState> for Source {
    fn from(state: &BoxedState) -> Self {
        Self {
            source: shown(state),
            hardware: state.hardware.clone(),
            interface: state.interface.clone(),
            rule: state.rule.clone(),
            // To a tenth: it has gone on when it is read.
            left_s: (state.left.as_secs_f64() * 10.0).round() / 10.0,
            dropped: state.dropped,
        }
    }
}

/// A prefix of one host as that host.
fn shown(state: &BoxedState) -> String {
    let net = state.source;
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

impl PenaltyBox {
    /// That of a snapshot.
    pub fn of(state: &PenaltyState) -> Self {
        Self {
            sources: state.boxed.iter().map(Source::from).collect(),
            wanted: state.wanted,
            watching: state.fresh,
        }
    }

    /// A line or two of `status`, where there is something to say.
    pub fn write_summary(&self, out: &mut Out) -> std::io::Result<()> {
        if self.wanted {
            let boxed = match self.sources.len() {
                0 => "empty".to_owned(),
                1 => "1 source; `icmpgate status --boxed` shows it".to_owned(),
                n => format!("{n} sources; `icmpgate status --boxed` lists them"),
            };
            writeln!(out, "penalty box  {boxed}")?;
        }
        self.write_stale(out)
    }

    fn write_stale(&self, out: &mut Out) -> std::io::Result<()> {
        if self.wanted && !self.watching {
            writeln!(
                out,
                "nobody is put into the penalty box now: no `icmpgate run` keeps up with the neighbours"
            )?;
        }
        Ok(())
    }

    /// All of it.
    pub fn write(&self, out: &mut Out) -> std::io::Result<()> {
        if self.sources.is_empty() {
            writeln!(out, "{NOBODY}")?;
        } else {
            let head = ["SOURCE", "HARDWARE", "INTERFACE", "RULE", "LEFT", "DROPPED"];
            let mut rows = vec![head.map(str::to_owned)];
            rows.extend(self.sources.iter().map(|s| {
                [
                    s.source.clone(),
                    s.hardware.clone(),
                    s.interface.clone(),
                    s.rule.clone(),
                    format!("{:.1} s", s.left_s),
                    s.dropped.to_string(),
                ]
            }));
            columns(out, [false, false, false, false, true, true], &rows)?;
        }
        if !self.wanted {
            writeln!(out, "no rule of the policy in force has a penalty")?;
        }
        self.write_stale(out)
    }
}

/// Lets them out, and says whom.
pub fn release(
    which: Release,
    pins: &PinDir,
    json: bool,
    out: &mut Out,
) -> anyhow::Result<ExitCode> {
    open(pins)?;
    let lock = pins.lock()?;
    // Opened under the lock: another may just have detached it.
    let mut maps = open(pins)?;
    let released = maps.penalty().release(|source| which.is(source))?;
    let interfaces = maps.interfaces()?;
    let rules: Vec<(u32, String)> =
        maps.limits()?.iter().map(|l| (l.index, text(&l.info.rule))).collect();
    drop(lock);
    let released: Vec<BoxedState> =
        released.iter().map(|b| BoxedState::new(b, &interfaces, &rules)).collect();
    if json {
        out.json(&released.iter().map(Source::from).collect::<Vec<_>>())?;
    } else if released.is_empty() && which == Release::All {
        writeln!(out, "{NOBODY}")?;
    } else {
        for state in &released {
            let BoxedState { interface, rule, dropped, .. } = state;
            writeln!(
                out,
                "{} is released: rule {rule}, {interface}, {dropped} packets dropped",
                shown(state)
            )?;
        }
    }
    out.flush()?;
    match which {
        Release::Address(address) if released.is_empty() => {
            say(format_args!(
                "{address} is not in the penalty box; `icmpgate status --boxed` lists who is"
            ));
            Ok(ExitCode::from(FAILED))
        }
        _ => Ok(ExitCode::from(DONE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use icmp_common::penalty::SourceKey;
    use std::time::Duration;

    fn boxed(source: &str) -> BoxedSource {
        let net: ipnet::IpNet = source.parse().unwrap();
        let (address, version) = match net.addr() {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped(), 4),
            IpAddr::V6(v6) => (v6, 6),
        };
        let number = u128::from(address);
        let key = SourceKey {
            address: [(number >> 64) as u64, number as u64],
            hardware: 0x0200_0000_0007,
            limit: 3,
            interface: 0,
            version,
            bits: net.prefix_len(),
        };
        BoxedSource { key, left: Duration::from_millis(12_340), dropped: 5 }
    }

    #[test]
    fn an_address_lets_out_the_source_whose_it_is() {
        let is = |which: &str, source: &str| which.parse::<Release>().unwrap().is(&boxed(source));
        assert!(is("192.0.2.7", "192.0.2.7/32") && is("192.0.2.7", "192.0.2.0/24"));
        assert!(!is("192.0.2.8", "192.0.2.7/32") && !is("::ffff:192.0.2.7", "192.0.2.7/32"));
        assert!(is("2001:db8::1:2", "2001:db8::/64") && !is("2001:db8:0:1::1", "2001:db8::/64"));
        assert!(is("all", "192.0.2.7/32") && is("all", "fe80::1/128"));
        assert!("everybody".parse::<Release>().is_err());
    }

    #[test]
    fn a_source_is_shown_as_people_write_it() {
        let state = |source: &str| BoxedState::new(&boxed(source), &[], &[(3, "echo".to_owned())]);
        let shown = Source::from(&state("192.0.2.7/32"));
        assert_eq!(
            (shown.source.as_str(), shown.hardware.as_str()),
            ("192.0.2.7", "02:00:00:00:00:07")
        );
        assert_eq!((shown.rule.as_str(), shown.left_s, shown.dropped), ("echo", 12.3, 5));
        assert_eq!(Source::from(&state("2001:db8::/64")).source, "2001:db8::/64");
    }
}
