//! The generator: a test run of live frames, each of which a BPF program gives another source and sends into
//! the veth. One processor so sends more than any filter on another takes, XDP_DROP excepted.

use crate::{cases, machine, measure::thread_time};
use anyhow::{Context as _, Result};
use icmpgate::{
    datapath::Instance,
    policy::{self, Profile},
};
use icmpgate_rig::netns::Namespace;
use nix::net::if_::if_nametoindex;
use std::time::Duration;

/// Octets of a frame, without its check sequence.
const OCTETS: usize = 64;

/// A flood that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// How many frames.
    pub(crate) frames: u32,
    /// In which time: of the processor, since the kernel waits for other things before a test run and after
    /// it, some milliseconds long. Nobody else has the processor meanwhile.
    pub(crate) took: Duration,
}

/// The generator.
pub(crate) struct Generator {
    instance: Instance,
    frame: Vec<u8>,
}

impl Generator {
    /// Loads it.
    pub(crate) fn new() -> Result<Self> {
        let (instance, _) = Instance::private(&policy::profile(Profile::Host), false)?;
        Ok(Self { instance, frame: cases::echo(OCTETS) })
    }

    /// Sends so many echo requests, from so many sources, out of an interface of this network, on this
    /// processor. All in one test run: between two the receiver would have nothing to do.
    pub(crate) fn flood(
        &mut self,
        from: &Namespace,
        interface: &str,
        sources: u32,
        frames: u32,
        cpu: usize,
    ) -> Result<Sent> {
        let Self { instance, frame } = self;
        from.run(move || {
            let interface = if_nametoindex(interface).context("no interface to send from")?;
            instance.aim_flood(sources, interface)?;
            machine::stay_on(cpu)?;
            machine::prefer(0)?;
            let before = thread_time()?;
            instance.flood(frame, frames)?;
            Ok(Sent { frames, took: thread_time()?.saturating_sub(before) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use icmpgate_rig::stage::{GATE_MAC, GATE_V4};

    #[test]
    fn the_frame_is_for_the_gate() {
        let frame = cases::echo(OCTETS);
        assert_eq!((frame.len(), &frame[..6]), (OCTETS, &GATE_MAC[..]));
        assert_eq!(frame[30..34], GATE_V4.octets());
    }
}
