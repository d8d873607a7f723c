//! encrypt
