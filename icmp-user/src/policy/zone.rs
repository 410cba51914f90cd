//! Zones as the kernel's tries hold them: each prefix with the number of a *zone set*.
//!
//! Zones nest. A source whose longest prefix is in zone B, inside a prefix of zone A, is in B first
//! and in A second; that order is its chain, and every distinct chain has a number. 0 is the empty
//! chain: no zone.

use super::Zone;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::HashMap;

/// The prefixes of the zones that rules name, and what their numbers mean.
#[derive(Debug)]
pub(super) struct ZoneSets {
    pub v4: Vec<(Ipv4Net, u32)>,
    pub v6: Vec<(Ipv6Net, u32)>,
    /// By number, the zones of a chain, the longest prefix's first.
    pub chains: Vec<Vec<usize>>,
}

/// Numbers the prefixes of the zones that some rule names; `used_v4` and `used_v6` say which those
/// are, by family of address. The others would cost the kernel's lookup and decide nothing.
pub(super) fn compile(zones: &[Zone], used_v4: &[bool], used_v6: &[bool]) -> ZoneSets {
    let mut v4: Vec<(Ipv4Net, usize)> = Vec::new();
    let mut v6: Vec<(Ipv6Net, usize)> = Vec::new();
    for (index, zone) in zones.iter().enumerate() {
        for prefix in &zone.prefixes {
            match *prefix {
                IpNet::V4(net) if used_v4[index] => v4.push((net, index)),
                IpNet::V6(net) if used_v6[index] => v6.push((net, index)),
                _ => {}
            }
        }
    }
    let mut chains = Chains::default();
    ZoneSets {
        v4: number(v4, &mut chains, |outer, inner| outer.contains(inner)),
        v6: number(v6, &mut chains, |outer, inner| outer.contains(inner)),
        chains: chains.by_number,
    }
}

/// Gives each prefix the number of its chain. Sorted by address and then by length, a prefix comes
/// after all that it lies in, so those still open are a stack.
fn number<N: Ord + Copy>(
    mut prefixes: Vec<(N, usize)>,
    chains: &mut Chains,
    contains: impl Fn(&N, &N) -> bool,
) -> Vec<(N, u32)> {
    prefixes.sort_unstable();
    let mut open: Vec<(N, u32)> = Vec::new();
    let mut numbered = Vec::with_capacity(prefixes.len());
    for (net, zone) in prefixes {
        while open.last().is_some_and(|(outer, _)| !contains(outer, &net)) {
            open.pop();
        }
        let outer = open.last().map_or(0, |(_, number)| *number);
        let number = chains.inside(outer, zone);
        open.push((net, number));
        numbered.push((net, number));
    }
    numbered
}

/// The chains by number, and the numbers by chain.
#[derive(Debug)]
struct Chains {
    by_number: Vec<Vec<usize>>,
    numbers: HashMap<Vec<usize>, u32>,
    /// Answers given before, so that a chain is only built when it is new.
    inside: HashMap<(u32, usize), u32>,
}

impl Default for Chains {
    fn default() -> Self {
        Self {
            by_number: vec![Vec::new()],
            numbers: HashMap::from([(Vec::new(), 0)]),
            inside: HashMap::new(),
        }
    }
}

impl Chains {
    /// The chain of what is in `zone`, inside what has the chain `outer`.
    fn inside(&mut self, outer: u32, zone: usize) -> u32 {
        if let Some(number) = self.inside.get(&(outer, zone)) {
            return *number;
        }
        // A zone that is met again further in counts where its prefix is longest.
        let around = self.by_number[outer as usize].iter().copied().filter(|z| *z != zone);
        let chain: Vec<usize> = std::iter::once(zone).chain(around).collect();
        let number = *self.numbers.entry(chain.clone()).or_insert_with(|| {
            self.by_number.push(chain);
            (self.by_number.len() - 1) as u32
        });
        self.inside.insert((outer, zone), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str, prefixes: &[&str]) -> Zone {
        let prefixes = prefixes.iter().map(|p| p.parse().unwrap()).collect();
        Zone { name: name.into(), prefixes }
    }

    #[test]
    fn a_zone_inside_another_comes_before_it() {
        let zones = [
            zone("a", &["10.0.0.0/8", "10.1.2.0/24", "2001:db8::/32"]),
            zone("b", &["10.1.0.0/16", "2001:db8:1::/48", "192.0.2.0/24"]),
        ];
        let sets = compile(&zones, &[true; 2], &[true; 2]);
        let chain = |text: &str| {
            let number = match text.parse().unwrap() {
                IpNet::V4(net) => sets.v4.iter().find(|(n, _)| *n == net).unwrap().1,
                IpNet::V6(net) => sets.v6.iter().find(|(n, _)| *n == net).unwrap().1,
            };
            sets.chains[number as usize].clone()
        };
        assert_eq!(chain("10.0.0.0/8"), [0]);
        assert_eq!(chain("10.1.0.0/16"), [1, 0]);
        assert_eq!(chain("10.1.2.0/24"), [0, 1]);
        assert_eq!(chain("192.0.2.0/24"), [1]);
        assert_eq!(chain("2001:db8:1::/48"), [1, 0]);
        // The empty chain, a, b, ba, ab: both families share them.
        assert_eq!(sets.chains.len(), 5);
    }

    #[test]
    fn what_no_rule_names_is_left_out() {
        let zones = [zone("a", &["10.0.0.0/8", "2001:db8::/32"]), zone("b", &["10.1.0.0/16"])];
        let sets = compile(&zones, &[true, false], &[false, false]);
        assert_eq!((sets.v4.len(), sets.v6.len(), sets.chains.len()), (1, 0, 2));
    }
}
