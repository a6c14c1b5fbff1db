//! The groups of a manifest with their modules, in it or in files of their own. Number and size of all together are bounded.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::expected;
use crate::formats::yaml;
use crate::formats::yaml::Node;

use super::dependency_check::DraftGroup;
use super::diagnostic::{Diagnostics, Location};
use super::model::{refuse_ignored, text};
use super::modules::{Draft, Reader, quoted};
use super::paths;
use super::spanned::{self, Spanned};

/// The maximum number of groups in a deployment.
const MAX_GROUPS: usize = 100;
/// The maximum number of modules in a deployment.
const MAX_MODULES: usize = 1000;
/// The maximum total size of the modules' files.
const MAX_TEXT: usize = 8 << 20;
/// The maximum total size of all modules' parameters, as JSON: YAML aliases can expand a small text.
const MAX_PARAMETERS: usize = 16 << 20;

/// Reads the groups of a manifest.
pub(super) struct Groups<'a> {
    reader: Reader<'a>,
    /// The number of modules so far.
    modules: usize,
    /// The total size of the modules' files so far.
    text: usize,
    /// The total size of the modules' parameters so far.
    parameters: usize,
}

impl<'a> Groups<'a> {
    pub fn new(reader: Reader<'a>) -> Self {
        Self {
            reader,
            modules: 0,
            text: 0,
            parameters: 0,
        }
    }

    /// The groups that could be read, and whether these are all groups.
    pub fn read(mut self, list: &Spanned<'_>, problems: &mut Diagnostics) -> (Vec<DraftGroup>, bool) {
        let items = list.items(problems);
        if items.is_empty() {
            problems.warning(
                &list.at,
                "no groups; this manifest destroys everything that the deployment has deployed",
            );
        }
        if items.len() > MAX_GROUPS {
            problems.found(
                &list.at,
                format!("{} groups", items.len()),
                format!("at most {MAX_GROUPS}"),
            );
        }
        let mut names = HashSet::new();
        let mut groups = Vec::new();
        for item in items.iter().take(MAX_GROUPS) {
            let Some(group) = self.group(item, problems) else {
                continue;
            };
            if !names.insert(group.name.clone()) {
                problems.error(
                    &item.at,
                    format!(
                        "duplicate group \"{}\"; put the modules of both into one",
                        group.name
                    ),
                );
            }
            groups.push(group);
        }
        let complete = groups.len() == items.len();
        (groups, complete)
    }

    fn group(&mut self, part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<DraftGroup> {
        let mut fields = part.fields(problems)?;
        let named = fields.required("name", problems);
        let (path, inline) = (fields.take("path", problems), fields.take("modules", problems));
        let concurrency = fields.take("concurrency", problems);
        fields.finish(problems);
        let name = named.and_then(|named| named.name(problems));
        // As in seed-farmer, 0 means no limit.
        let concurrency = concurrency
            .and_then(|part| Some((part.number(0, MAX_MODULES as u32, problems)?, part)))
            .filter(|(number, _)| *number > 0)
            .and_then(|(number, part)| {
                let checked = self.reader.maxima.concurrency(number);
                checked
                    .map_err(|above| problems.error(&part.at, above.to_string()))
                    .ok()
            });
        let inline = inline
            .map(|list| list.items(problems))
            .filter(|items| !items.is_empty());
        let modules = match (path, inline) {
            (Some(path), None) => self.file(&path, problems),
            (None, Some(items)) => Some(self.modules(&items, problems)),
            (None, None) => {
                problems.error(
                    &part.at,
                    "expected path or modules, with at least one module, found neither",
                );
                None
            }
            (Some(path), Some(_)) => {
                problems.error(&path.at, "expected path or modules, found both");
                None
            }
        };
        let complete = modules
            .as_ref()
            .is_some_and(|modules| modules.iter().all(Option::is_some));
        let modules = modules.into_iter().flatten().flatten().collect();
        Some(DraftGroup {
            name: name?,
            concurrency,
            modules,
            complete,
        })
    }

    /// The modules in a file's documents; `None` if it can't be read.
    fn file(&mut self, part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<Vec<Option<Draft>>> {
        let (file, documents) = self.documents(part, problems)?;
        let document = |(i, node)| Spanned::document(&file, format!("modules[{i}]"), node);
        let items = spanned::distinct(documents.iter().enumerate().map(document), problems);
        Some(self.modules(&items, problems))
    }

    fn documents(&mut self, part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<(Arc<str>, Vec<Node>)> {
        let given = part.text(problems)?;
        let Some(path) = paths::normal(&given).filter(|_| paths::elsewhere(&given).is_none()) else {
            problems.found(
                &part.at,
                quoted(&given),
                "a path within the repository: no leading slash and no ..",
            );
            return None;
        };
        let at = Location::file(&path);
        if !self.reader.repository.has_file(&path) {
            let missing = expected(quoted(&given), "the path of an existing file in the repository");
            let meant = paths::did_you_mean(self.reader.repository, &path);
            problems.error(&part.at, format!("{missing}{meant}"));
            return None;
        }
        refuse_ignored(self.reader.repository, &path, &part.at, problems);
        let text = text(self.reader.repository, &at, problems)?;
        self.text += text.len();
        if self.text > MAX_TEXT {
            problems.error(
                &part.at,
                format!("the files of modules are longer than {MAX_TEXT} bytes together"),
            );
            return None;
        }
        let mut documents = match yaml::parse_all(&text) {
            Ok(documents) => documents,
            Err(error) => {
                problems.no_yaml(&path, &error);
                return None;
            }
        };
        if documents.is_empty() {
            problems.warning(&at, "the file has no modules, so the group is empty");
        }
        for (i, document) in documents.iter_mut().enumerate() {
            problems.repeated_keys(&at.file, document);
            let field = format!("modules[{i}]");
            self.reader.env.fill(&at.file, &field, document, problems);
        }
        Some((at.file, documents))
    }

    fn modules(&mut self, items: &[Spanned<'_>], problems: &mut Diagnostics) -> Vec<Option<Draft>> {
        let before = self.modules;
        self.modules += items.len();
        if before <= MAX_MODULES && self.modules > MAX_MODULES {
            problems.error(
                &items[0].at,
                format!("a deployment has at most {MAX_MODULES} modules; split it into several"),
            );
        }
        let room = MAX_MODULES.saturating_sub(before);
        items
            .iter()
            .take(room)
            .map(|item| self.module(item, problems))
            .collect()
    }

    fn module(&mut self, item: &Spanned<'_>, problems: &mut Diagnostics) -> Option<Draft> {
        if self.parameters > MAX_PARAMETERS {
            return None;
        }
        let draft = self.reader.read(item, problems)?;
        self.parameters += serde_json::to_string(&draft.written_parameters).map_or(0, |text| text.len());
        if self.parameters > MAX_PARAMETERS {
            problems.error(
                &item.at,
                format!("the parameters of all modules are longer than {MAX_PARAMETERS} bytes together; put long values into files"),
            );
        }
        Some(draft)
    }
}
