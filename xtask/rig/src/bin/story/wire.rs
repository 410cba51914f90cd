//! Putting frames on the wire as they are: a packet socket on the peer's interface.

use crate::{netns::Namespace, signal, stage::PEER};
use anyhow::{Context as _, Result, bail};
use nix::net::if_::if_nametoindex;
use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

/// How many frames one system call sends.
const BATCH: usize = 64;
/// How often a call that finds no room is tried again.
const TRIES: u32 = 100;

/// A socket that sends whole frames.
pub(crate) struct Wire(OwnedFd);

impl Wire {
    /// One on the peer's interface. It receives nothing.
    pub(crate) fn open(peer: &Namespace) -> Result<Self> {
        peer.run(|| {
            // SAFETY: a system call without pointers.
            let fd =
                unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
            if fd < 0 {
                return Err(io::Error::last_os_error()).context("can't open a packet socket");
            }
            // SAFETY: open, and nobody else's.
            let socket = unsafe { OwnedFd::from_raw_fd(fd) };
            // SAFETY: all zeros is a valid address.
            let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = if_nametoindex(PEER)?.cast_signed();
            let length = size_of_val(&address) as libc::socklen_t;
            // SAFETY: the address lives through the call, and the length is its.
            let bound = unsafe { libc::bind(fd, (&raw const address).cast(), length) };
            if bound != 0 {
                return Err(io::Error::last_os_error()).context("can't use the peer's interface");
            }
            Ok(Self(socket))
        })
    }

    /// Sends these frames.
    pub(crate) fn send(&self, frames: &[Vec<u8>]) -> Result<()> {
        for batch in frames.chunks(BATCH) {
            self.send_batch(batch)?;
        }
        Ok(())
    }

    /// Sends these frames again and again until this many are sent, at this rate, and returns the
    /// time from the first to the last.
    pub(crate) fn flood(&self, frames: &[Vec<u8>], count: usize, rate: f64) -> Result<Duration> {
        let start = Instant::now();
        let mut sent = 0;
        while sent < count {
            signal::check()?;
            let due = (start.elapsed().as_secs_f64() * rate) as usize + 1;
            let batch = due.min(count).saturating_sub(sent).min(BATCH);
            if batch == 0 {
                thread::sleep(Duration::from_micros(100));
                continue;
            }
            let from = sent % frames.len();
            let batch = &frames[from..frames.len().min(from + batch)];
            self.send_batch(batch)?;
            sent += batch.len();
        }
        Ok(start.elapsed())
    }

    fn send_batch(&self, frames: &[Vec<u8>]) -> Result<()> {
        let mut parts: Vec<libc::iovec> = frames
            .iter()
            .map(|f| libc::iovec { iov_base: f.as_ptr().cast_mut().cast(), iov_len: f.len() })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| {
                // SAFETY: all zeros is a valid header.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let mut rest = &mut messages[..];
        let mut tries = 0;
        while !rest.is_empty() {
            // SAFETY: the headers point to parts, and the parts to frames, which all live on; the
            // kernel only reads the frames.
            let sent = unsafe {
                libc::sendmmsg(self.0.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0)
            };
            match usize::try_from(sent) {
                Ok(sent) => rest = &mut rest[sent..],
                Err(_) => {
                    signal::check()?;
                    let error = io::Error::last_os_error();
                    tries += 1;
                    let full = matches!(
                        error.raw_os_error(),
                        Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR)
                    );
                    if !full || tries > TRIES {
                        bail!("can't send a frame: {error}");
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
        Ok(())
    }
}
