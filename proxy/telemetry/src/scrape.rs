//! One reading of all metrics, chunk by chunk.
//!
//! Between two chunks the caller may do something else, or wait for who reads. What a scrape holds is one chunk, and a
//! pointer for each label set of the kind that it is at; cells are read as it comes to them.

use crate::exposition::{ExpositionFormat, Page};
use crate::inventory::{OpenSection, Section};
use std::sync::Arc;

/// A chunk is given away once it is this long; the samples of one label set and family are not cut.
const CHUNK_BYTES: usize = 64 * 1024;
/// Room of a chunk beyond that, for the samples that end it.
const CHUNK_SLACK_BYTES: usize = 8 * 1024;
/// Label sets that are looked at for one chunk, at most: most have counted nothing of most reasons, and looking takes
/// time, too.
const LOOKS_MAX: usize = 4_096;

/// A scrape that is under way.
pub struct Scrape {
    /// Those that are still to come, the next one last.
    sections: Vec<Arc<dyn Section>>,
    /// What is read now, and where.
    open: Option<Place>,
    page: Page,
    ended: bool,
}

struct Place {
    section: Box<dyn OpenSection>,
    family: usize,
    label_set: usize,
}

impl Scrape {
    pub(crate) fn new(format: ExpositionFormat, mut sections: Vec<Arc<dyn Section>>) -> Scrape {
        sections.reverse();
        Scrape {
            sections,
            open: None,
            page: Page::new(format),
            ended: false,
        }
    }

    /// The next piece of the text, about 64 KiB at most; none once everything has been given. It may be empty: what was
    /// looked at so far had nothing to tell. Takes well under a millisecond.
    pub fn next_chunk(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let _ = self.page.take(CHUNK_BYTES + CHUNK_SLACK_BYTES);
        let mut looks = 0;
        while self.page.len() < CHUNK_BYTES && looks < LOOKS_MAX {
            looks += 1;
            if !self.step() {
                self.page.end();
                self.ended = true;
                break;
            }
        }
        Some(self.page.take(0))
    }

    /// Looks at one label set, or goes on to the next family or section. Returns whether there is more.
    fn step(&mut self) -> bool {
        let Some(place) = &mut self.open else {
            let Some(section) = self.sections.pop() else {
                return false;
            };
            self.open = Some(Place {
                section: section.open(),
                family: 0,
                label_set: 0,
            });
            return true;
        };
        let Some(heading) = place.section.heading(place.family) else {
            self.open = None;
            return true;
        };
        if place.label_set == 0 {
            self.page.family(heading);
        }
        if place.label_set < place.section.label_sets() {
            place.section.write(place.family, place.label_set, &mut self.page);
            place.label_set += 1;
        } else {
            place.family += 1;
            place.label_set = 0;
        }
        true
    }
}

impl std::fmt::Debug for Scrape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Scrape")
            .field("sections", &self.sections.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod peers;
#[cfg(test)]
mod tests;
