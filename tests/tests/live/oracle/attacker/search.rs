//! How he decides: what he asks for, and what he makes of how many errors came.

use super::{super::family::CLOSED, Attacker, BURST, REFILL};
use icmpgate_tests::odds::median;
use std::{iter, ops::Range};

/// Probes under own addresses, after the others: as many as are ever left where all those met closed
/// ports, which random charges make 0 to 20.
const OWN: usize = 25;

impl Attacker<'_> {
    /// Looks for the open port, where each packet is charged exactly: of a whole burst of probes to
    /// closed ports nothing is left, and one error comes if one of them was open.
    pub fn search_exact(&mut self) -> Option<u16> {
        let mut batches = self.side.candidates().step_by(BURST).map(batch);
        let mut among = batches.find(|ports| self.holds(ports.clone()))?;
        while among.len() > 1 {
            let (near, far) = halves(among);
            among = if self.holds(near.clone()) { near } else { far };
        }
        Some(among.start)
    }

    /// Whether the open port is one of these. A single error he wants to see twice, and several are
    /// what a refill brought, so that they tell nothing.
    fn holds(&mut self, ports: Range<u16>) -> bool {
        let ports = padded(ports);
        let mut seen = false;
        for _ in 0..100 {
            match self.measure(&ports, 3) {
                0 => return false,
                1 if seen => return true,
                n => seen = n == 1,
            }
        }
        false
    }

    /// Looks for the open port, where charges are random: that an error more came says little, and
    /// the batch from which most came is the likeliest, as the likelihood of having been open grows
    /// with what came. Then he halves it, and takes the half to hold the port where more came than
    /// usually. A search of the wrong batch is lost, so it ends there.
    pub fn search_likeliest(&mut self) -> Option<u16> {
        let batches: Vec<_> = self.side.candidates().step_by(BURST).map(batch).collect();
        let counts: Vec<_> =
            batches.iter().map(|b| self.measure(&padded(b.clone()), OWN)).collect();
        let mut among = batches[self.likeliest(&counts)].clone();
        if !among.contains(&self.open) {
            return None;
        }
        let usual = median(&counts);
        while among.len() > 1 {
            let (near, far) = halves(among);
            among = if self.measure(&padded(near.clone()), OWN) > usual { near } else { far };
        }
        Some(among.start)
    }

    /// Tells in which of two batches of so many ports the open one is: he probes each `times`
    /// times, and says the one from which more came. Whether he is right.
    pub fn tells_apart(&mut self, ports: u16, times: usize) -> bool {
        let near = self.side.candidates().start;
        let far = near + ports;
        let open = self.dice.u16(near..far + ports);
        let counts = self.while_open(open, |attacker| {
            // Both begin with what a pause brings, where that is less than a full bucket.
            if attacker.pause < REFILL {
                attacker.measure(&[CLOSED; BURST], OWN);
            }
            [near, far].map(|first| {
                let ports = first..first + ports;
                let probes: Vec<u16> = ports.flat_map(|port| vec![port; times]).collect();
                attacker.measure(&probes, OWN)
            })
        });
        self.likeliest(&counts) == usize::from(open >= far)
    }

    /// The place of the largest, any of them where there are several.
    fn likeliest(&mut self, counts: &[usize]) -> usize {
        let most = counts.iter().max();
        let places: Vec<_> = (0..counts.len()).filter(|i| counts.get(*i) == most).collect();
        *self.dice.choice(&places).expect("one is the largest")
    }
}

/// The candidates of the batch that begins here.
fn batch(first: u16) -> Range<u16> {
    first..first + BURST as u16
}

/// These ports, and as many closed ones as make it a burst.
fn padded(ports: Range<u16>) -> Vec<u16> {
    ports.chain(iter::repeat(CLOSED)).take(BURST).collect()
}

fn halves(ports: Range<u16>) -> (Range<u16>, Range<u16>) {
    let middle = ports.start + (ports.end - ports.start) / 2;
    (ports.start..middle, middle..ports.end)
}
