//! A flood out of test runs, and its floor: what the bench sends, and what it is held against.

use super::{Error, Instance, Program};
use aya::{
    maps::PerCpuArray,
    programs::{Program as AyaProgram, TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use icmp_common::abi::{Sweep, name};
use std::sync::PoisonError;

/// Frames that are sent at one time: as many as the kernel takes by itself.
const BATCH: u32 = 64;

impl Instance {
    /// Makes [`Instance::flood`] go through this many sources, a power of two up to 2^24, and send to the
    /// interface of this index.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn aim_flood(&mut self, sources: u32, interface: u32) -> Result<(), Error> {
        self.ensure_loaded(Program::Flood)?;
        self.set_sweep(Sweep { mask: sources - 1, next: 0, interface })
    }

    /// Sends this frame so many times, by a test run of live frames. The network is the calling thread's.
    ///
    /// # Errors
    /// Where the kernel refuses: before 5.18, and where a signal came.
    pub fn flood(&self, frame: &[u8], times: u32) -> Result<(), Error> {
        let attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        let options =
            TestRunOptions { data_in: Some(frame), repeat: times, attrs, ..TestRunOptions::new() };
        match self.read().program(Program::Flood.name()) {
            Some(AyaProgram::Xdp(xdp)) => Ok(xdp.test_run(options).map(drop)?),
            _ => Err(Program::Flood.missing()),
        }
    }

    /// Attaches a program, one that counts and drops, to the interface of this index in the calling thread's
    /// network, in its driver, for as long as this copy lives.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn attach_floor(&mut self, program: Program, interface: u32) -> Result<(), Error> {
        self.ensure_loaded(program)?;
        let ebpf = self.ebpf.get_mut().unwrap_or_else(PoisonError::into_inner);
        let xdp: &mut Xdp =
            ebpf.program_mut(program.name()).ok_or(program.missing())?.try_into()?;
        xdp.attach_to_if_index(interface, XdpMode::Driver)?;
        Ok(())
    }

    /// How many packets [`Program::CountedDrop`], [`Program::ReadDrop`] or [`Program::SourceFloor`] has had.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn dropped_by_floor(&self) -> Result<u64, Error> {
        let ebpf = self.read();
        let map = ebpf.map(name::DROPPED);
        let map = map.ok_or(Error::Missing { kind: "map", name: name::DROPPED })?;
        let dropped: PerCpuArray<_, u64> = map.try_into()?;
        Ok(dropped.get(&0, 0)?.iter().sum())
    }
}
