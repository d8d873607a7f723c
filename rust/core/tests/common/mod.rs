//! What several integration tests share.

pub mod everything;
pub mod mariadb;
