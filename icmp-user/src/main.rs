//! The icmpgate program.

fn main() {}
