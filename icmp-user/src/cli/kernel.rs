//! The part of `stats` that is Linux's own: what its stack counted, and by what it limits the errors
//! that it sends, before ours are asked.

use super::output::{Sink, section};
use crate::{
    datapath::{KernelCount, KernelCounter, KernelSetting},
    observe::KernelState,
};
use icmp_common::abi::family;
use serde::Serialize;
use std::{collections::BTreeMap, io};

/// It, as programs read it.
#[derive(Serialize)]
pub struct Kernel {
    counters: Vec<Count>,
    /// By their names.
    settings: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Count {
    /// The kernel's name.
    counter: &'static str,
    /// Null for what both families share.
    family: Option<&'static str>,
    messages: u64,
}

impl From<&KernelCount> for Count {
    fn from(count: &KernelCount) -> Self {
        Self {
            counter: count.counter.name(),
            family: count.family.map(family::label),
            messages: count.messages,
        }
    }
}

impl Kernel {
    /// That of a snapshot.
    pub fn of(state: &KernelState) -> Self {
        Self {
            counters: state.counts.iter().map(Count::from).collect(),
            settings: state.settings.iter().map(|s| (s.name, s.value)).collect(),
        }
    }
}

/// Shows it as tables, a counter a line; nothing of what the kernel doesn't have.
pub fn write(out: &mut dyn Sink, state: &KernelState) -> io::Result<()> {
    let mut rows = vec![["LINUX COUNTED", "ICMPV4", "ICMPV6", "BOTH"].map(str::to_owned)];
    for counter in KernelCounter::ALL {
        let of = |family| state.counts.iter().find(|c| c.counter == counter && c.family == family);
        let counts = [Some(family::ICMPV4), Some(family::ICMPV6), None].map(of);
        if counts.iter().any(Option::is_some) {
            let [v4, v6, both] =
                counts.map(|c| c.map_or("-".to_owned(), |c| c.messages.to_string()));
            rows.push([counter.name().to_owned(), v4, v6, both]);
        }
    }
    section(out, [false, true, true, true], &rows)?;
    let mut rows = vec![["LINUX LIMITS ERRORS FIRST, BY", "VALUE", ""].map(str::to_owned)];
    for setting in &state.settings {
        let KernelSetting { name, meaning, value } = *setting;
        rows.push([name.to_owned(), value.to_string(), meaning.to_owned()]);
    }
    section(out, [false, true, false], &rows)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> KernelState {
        let count = |counter, family, messages| KernelCount { counter, family, messages };
        KernelState {
            counts: vec![
                count(KernelCounter::InMsgs, Some(family::ICMPV4), 31),
                count(KernelCounter::OutRateLimitGlobal, None, 150),
            ],
            settings: vec![KernelSetting {
                name: "net.ipv4.icmp_ratelimit",
                meaning: "ms",
                value: 1000,
            }],
        }
    }

    #[test]
    fn tables_have_a_line_for_what_there_is() {
        let mut text = Vec::new();
        write(&mut text, &state()).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "
LINUX COUNTED       ICMPV4  ICMPV6  BOTH
InMsgs                  31       -     -
OutRateLimitGlobal       -       -   150

LINUX LIMITS ERRORS FIRST, BY  VALUE
net.ipv4.icmp_ratelimit         1000  ms
"
        );
        let mut text = Vec::new();
        write(&mut text, &KernelState::default()).unwrap();
        assert_eq!(text, b"");
    }

    #[test]
    fn programs_find_settings_by_name_and_counters_with_their_family() {
        let json = serde_json::to_value(Kernel::of(&state())).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "counters": [
                    { "counter": "InMsgs", "family": "icmpv4", "messages": 31 },
                    { "counter": "OutRateLimitGlobal", "family": null, "messages": 150 },
                ],
                "settings": { "net.ipv4.icmp_ratelimit": 1000 },
            })
        );
    }
}
