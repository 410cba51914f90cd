//! icmpgate's user space: policy, datapath and what is shown of it. The binary is a thin layer
//! above; tests and tools use the same functions.

pub mod capture;
pub mod cli;
pub mod datapath;
pub mod observe;
pub mod policy;
