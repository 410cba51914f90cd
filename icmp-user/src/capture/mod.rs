//! Frames that were captured or typed, as octets that the program can be run on.
//!
//! What comes out is Ethernet frames as the program would have met them: without the headers that
//! some captures put before a frame, and without its check sequence. A frame that the capture holds
//! only in part, or that isn't Ethernet, comes out as what it lacks, so that frames keep the
//! numbers that other tools give them.
//!
//! Everything in a capture is untrusted. The formats are parsed by `pcap-parser`, which, unlike
//! `pcap-file` 2, takes frames longer than the snapshot length that the file states, and byte
//! orders that change between sections. The buffer here is our own: the crate's reader takes one
//! `read` for a whole file header and swallows the cause of a failed one.

mod error;
pub mod hex;
mod link;
mod reader;

pub use error::Error;
pub use link::LinkType;
pub use reader::{Capture, Content, Frame};
