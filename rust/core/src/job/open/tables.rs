//! Reading no more of a dump than what is asked of it takes, where the backup's index says where its tables are.

use super::Opened;
use crate::archive::{Input, Without};
use crate::config::Driver;
use crate::source::database::{self, Contents};
use crate::source::table_places::TablePlaces;
use crate::{Monitor, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// What of a dump need not be read, and what shows that nothing else was left out.
#[derive(Debug, Default)]
pub struct DumpShare {
    /// Stretches with rows of other tables.
    pub gaps: Vec<Range<u64>>,
    /// How many rows the wanted tables have, by their names in the dump.
    pub counts: BTreeMap<String, u64>,
}

impl Opened {
    /// What of the dump need not be read where these tables alone are wanted, at a site with the prefix `ours` (`None`: the
    /// dump's). All of it is read where it is not known where they are, or how many rows they have.
    pub fn share_of_dump(&self, only: &[String], ours: Option<&str>, monitor: &Monitor) -> Result<DumpShare> {
        if only.is_empty() {
            return Ok(DumpShare::default());
        }
        let share = self.places(monitor)?.and_then(|places| {
            let counts = places.counts(only, ours)?;
            Some(DumpShare { gaps: places.without_others(only, ours), counts })
        });
        Ok(share.unwrap_or_default())
    }

    /// A database backup's dump, by which nothing is fetched that is not read.
    pub fn dump(&self) -> Result<Box<dyn Input>> {
        match &self.index {
            Some(index) => Ok(index.dump()),
            None => Ok(Box::new(self.decode_database()?)),
        }
    }

    /// What the dump that `input` gives holds, as [`database::contents`] tells it: rows that are counted are not read.
    pub fn contents_of(
        &self,
        driver: Option<Driver>,
        mut input: impl Input,
        only: Option<&str>,
        spool_dir: &Path,
        monitor: &Monitor,
    ) -> Result<Contents> {
        let Some(places) = self.places(monitor)? else {
            return database::contents(driver, &mut input, only, spool_dir, monitor);
        };
        let mut without = Without::new(input, places.without_counted());
        let mut contents = database::contents(driver, &mut without, only, spool_dir, monitor)?;
        contents.add_counted(&places);
        Ok(contents)
    }

    fn places(&self, monitor: &Monitor) -> Result<Option<TablePlaces>> {
        match &self.index {
            Some(index) => index.tables(monitor),
            None => Ok(None),
        }
    }
}
