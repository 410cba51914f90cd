//! The counters of icmpgate as a scraper reads them: from the Prometheus text.

use std::collections::BTreeMap;

/// The metric that counts packets.
const PACKETS: &str = "icmpgate_packets_total{";

/// The labels of a counter, but for the interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `ingress` or `egress`.
    pub hook: String,
    /// `icmpv4`, `icmpv6`, `igmp`, or `none`.
    pub family: String,
    /// A number, `other` or `none`.
    pub ty: String,
    /// Likewise.
    pub code: String,
    /// `pass`, `drop`.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// `enforce` or `observe`.
    pub mode: String,
}

/// Packets by what they were and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Key, u64>);

impl Counts {
    /// Those in a text. Lines of other metrics are passed over.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut counts = BTreeMap::new();
        for line in text.lines() {
            if let Some((key, packets)) = line.strip_prefix(PACKETS).and_then(read_line) {
                *counts.entry(key).or_default() += packets;
            }
        }
        Self(counts)
    }

    /// What has come since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let grown = self.0.iter().map(|(key, now)| {
            let before = earlier.0.get(key).copied().unwrap_or(0);
            (key.clone(), now.saturating_sub(before))
        });
        Self(grown.filter(|(_, packets)| *packets > 0).collect())
    }

    /// Those whose key is of this kind.
    #[must_use]
    pub fn only(mut self, kind: impl Fn(&Key) -> bool) -> Self {
        self.0.retain(|key, _| kind(key));
        self
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, u64)> {
        self.0.iter().map(|(key, packets)| (key, *packets))
    }

    /// How many packets in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many have this verdict.
    #[must_use]
    pub fn with_verdict(&self, verdict: &str) -> u64 {
        self.iter().filter(|(key, _)| key.verdict == verdict).map(|(_, packets)| packets).sum()
    }
}

/// What follows the opening brace. No value of these labels has a quote or a comma in it.
fn read_line(line: &str) -> Option<(Key, u64)> {
    let (labels, value) = line.split_once("} ")?;
    let mut key = Key::default();
    for label in labels.split(',') {
        let (name, value) = label.split_once('=')?;
        let value = value.trim_matches('"').to_owned();
        match name {
            "hook" => key.hook = value,
            "family" => key.family = value,
            "type" => key.ty = value,
            "code" => key.code = value,
            "verdict" => key.verdict = value,
            "reason" => key.reason = value,
            "mode" => key.mode = value,
            _ => {}
        }
    }
    // Prometheus' numbers are floats.
    let packets: f64 = value.split(' ').next()?.parse().ok()?;
    Some((key, packets as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP icmpgate_packets_total x\n\
        icmpgate_packets_total{code=\"0\",family=\"icmpv4\",hook=\"ingress\",iface=\"a\",\
        mode=\"enforce\",reason=\"denied\",type=\"13\",verdict=\"drop\"} 3\n\
        icmpgate_bytes_total{code=\"0\"} 99\n\
        icmpgate_packets_total{iface=\"b\",hook=\"ingress\",family=\"none\",type=\"none\",\
        code=\"none\",verdict=\"pass\",reason=\"not-icmp\",mode=\"enforce\"} 7\n";

    #[test]
    fn the_text_is_read_whatever_the_order_of_its_labels() {
        let counts = Counts::read(TEXT);
        assert_eq!((counts.total(), counts.with_verdict("drop")), (10, 3));
        let (key, packets) = counts.iter().next().unwrap();
        assert_eq!((key.family.as_str(), key.ty.as_str(), packets), ("icmpv4", "13", 3));
    }

    #[test]
    fn a_difference_has_only_what_grew() {
        let before = Counts::read(TEXT);
        let after = Counts::read(&TEXT.replace("} 3", "} 5"));
        let grown = after.since(&before);
        assert_eq!(grown.total(), 2);
        assert_eq!(grown.only(|key| key.family == "none").total(), 0);
    }
}
