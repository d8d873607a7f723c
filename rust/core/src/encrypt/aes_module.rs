//! aes module
