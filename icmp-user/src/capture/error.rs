//! What can be wrong with a capture: each says where, and what to do.

use super::LinkType;
use std::io;

/// A capture that can't be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be opened.
    #[error("{name}: {source}")]
    Open {
        /// The file, as it was named.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no file but a directory.
    #[error("{name} is a directory; name a pcap or pcapng file")]
    Directory {
        /// Its name.
        name: String,
    },
    /// There is nothing in it.
    #[error("{name} is empty; a capture has at least a file header")]
    Empty {
        /// The file.
        name: String,
    },
    /// It is something else.
    #[error("{name} is not a capture: it begins with neither a pcap nor a pcapng header{hint}")]
    NotACapture {
        /// The file.
        name: String,
        /// What it seems to be.
        hint: &'static str,
    },
    /// Reading failed.
    #[error("{name}: reading at octet {offset}: {source}")]
    Read {
        /// The file.
        name: String,
        /// How many octets had been taken.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file ends within something.
    #[error(
        "{name} is truncated: {what} at octet {offset} needs {needed} octets, and the file has {found}"
    )]
    Truncated {
        /// The file.
        name: String,
        /// The frame, or the part of the format.
        what: String,
        /// Where it begins.
        offset: u64,
        /// How many octets it has, as far as that can be told.
        needed: u64,
        /// How many are there.
        found: u64,
    },
    /// It contradicts its format.
    #[error("{name} is damaged: {what} at octet {offset} {fault}")]
    Damaged {
        /// The file.
        name: String,
        /// The frame, or the part of the format.
        what: String,
        /// Where it begins.
        offset: u64,
        /// What is wrong with it.
        fault: String,
    },
    /// Its frames aren't Ethernet.
    #[error("{name} has link type {link}, which does not hold Ethernet frames; {}", link.advice())]
    LinkType {
        /// The file.
        name: String,
        /// The link type.
        link: LinkType,
    },
}
