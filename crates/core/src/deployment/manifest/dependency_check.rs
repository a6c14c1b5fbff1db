//! Checks that every module finds the metadata it consumes. Groups are deployed one after the other and the modules of
//! a group at once, so a module can only consume metadata of earlier groups.

use std::collections::{HashMap, HashSet, VecDeque};

use super::diagnostic::{Diagnostics, Location};
use super::modules::Draft;
use super::parameters::Reference;
use crate::error::excerpt;
use crate::ids::Name;

/// A group of the manifest.
#[derive(Debug)]
pub(super) struct DraftGroup {
    pub name: Name,
    pub concurrency: Option<u32>,
    pub modules: Vec<Draft>,
    /// Whether the group and all its modules could be read.
    pub complete: bool,
}

/// The maximum number of modules of a circle in a message.
const MAX_SHOWN: usize = 12;

/// A module by the indexes of its group and of itself.
type Number = (usize, usize);

/// Refuses modules with the same state path, and references that cannot be resolved in the order of the groups.
/// `complete` says whether these are all groups of the manifest.
pub(super) fn check(groups: &[DraftGroup], complete: bool, problems: &mut Diagnostics) {
    refuse_doubles(groups, problems);
    refuse_former_names(groups, problems);
    let graph = Graph::of(groups, complete);
    for (g, group) in groups.iter().enumerate() {
        for (m, module) in group.modules.iter().enumerate() {
            for reference in &module.references {
                graph.check((g, m), reference, problems);
            }
        }
    }
}

/// Refuses modules with equal names, or with equal `{group}-{module}`, the path of a module's state. The error names both
/// places.
fn refuse_doubles(groups: &[DraftGroup], problems: &mut Diagnostics) {
    let mut paths: HashMap<String, (String, &Location)> = HashMap::new();
    let modules = groups
        .iter()
        .flat_map(|group| group.modules.iter().map(move |module| (&group.name, module)));
    for (group, module) in modules {
        let (path, shown) = (
            format!("{group}-{}", module.name),
            format!("{group}/{}", module.name),
        );
        let Some((other, place)) = paths.insert(path.clone(), (shown.clone(), &module.at)) else {
            continue;
        };
        let place = place.file_and_line();
        let message = if other == shown {
            format!("duplicate module {shown}, also in {place}; rename one of them")
        } else {
            format!(
                "the modules {shown} and {other} ({place}) would share the path {path}; rename one of them"
            )
        };
        problems.error(&module.at, message);
    }
}

/// Refuses former names that can't be those of a renamed module: another module has the name now, or had it, too.
fn refuse_former_names(groups: &[DraftGroup], problems: &mut Diagnostics) {
    let paths: HashMap<String, String> = groups
        .iter()
        .flat_map(|group| {
            group
                .modules
                .iter()
                .map(move |module| (&group.name, &module.name))
        })
        .map(|(group, module)| (format!("{group}-{module}"), format!("{group}/{module}")))
        .collect();
    let mut former: HashMap<String, &Location> = HashMap::new();
    for module in groups.iter().flat_map(|group| &group.modules) {
        let Some((from, at)) = &module.renamed_from else {
            continue;
        };
        let path = format!("{}-{}", from.group, from.module);
        if let Some(now) = paths.get(&path) {
            problems.found(
                at,
                format!("\"{from}\", the current name of the module {now} in this manifest"),
                "a former name of this module; remove the other module or renamedFrom",
            );
        } else if let Some(other) = former.insert(path, at) {
            let other = other.file_and_line();
            problems.error(
                at,
                format!("{from} is the former name of two modules, here and in {other}; remove renamedFrom from one of them"),
            );
        }
    }
}

struct Graph<'g> {
    groups: &'g [DraftGroup],
    complete: bool,
    numbers: HashMap<(&'g Name, &'g Name), Number>,
}

impl<'g> Graph<'g> {
    fn of(groups: &'g [DraftGroup], complete: bool) -> Self {
        let numbers = groups.iter().enumerate().flat_map(|(g, group)| {
            let modules = group.modules.iter().enumerate();
            modules.map(move |(m, module)| ((&group.name, &module.name), (g, m)))
        });
        Self {
            groups,
            complete,
            numbers: numbers.collect(),
        }
    }

    fn show(&self, (g, m): Number) -> String {
        let group = &self.groups[g];
        format!("{}/{}", group.name, group.modules[m].name)
    }

    /// The modules of a circle, which begins and ends with the same module; of a long circle only its beginning.
    fn show_circle(&self, from: Number, way: &[Number]) -> String {
        let mut names: Vec<String> = way
            .iter()
            .take(MAX_SHOWN)
            .map(|number| self.show(*number))
            .collect();
        if way.len() > MAX_SHOWN {
            names.push(format!("{} more", way.len() - MAX_SHOWN - 1));
            names.push(self.show(from));
        }
        format!("{} → {}", self.show(from), names.join(" → "))
    }

    fn check(&self, from: Number, reference: &Reference, problems: &mut Diagnostics) {
        let Some(&to) = self.numbers.get(&(&reference.group, &reference.module)) else {
            self.refuse_unknown(reference, problems);
            return;
        };
        if to.0 < from.0 || problems.is_full() {
            return;
        }
        let (consumer, provider) = (self.show(from), self.show(to));
        let message = match self.way(to, from) {
            Some(way) => format!(
                "a circle of references: {}; remove one of them",
                self.show_circle(from, &way)
            ),
            None if to.0 == from.0 => format!(
                "{consumer} refers to {provider} in its own group, whose modules are deployed at once; move {consumer} to a later group"
            ),
            None => format!(
                "{consumer} refers to {provider} in a later group; move the group {} before the group {}",
                reference.group, self.groups[from.0].name
            ),
        };
        problems.error(&reference.at, message);
    }

    fn refuse_unknown(&self, reference: &Reference, problems: &mut Diagnostics) {
        let group = self.groups.iter().find(|group| group.name == reference.group);
        // A module that could not be read has been reported already; it is not missing.
        let message = match group {
            Some(group) if !group.complete => return,
            None if !self.complete => return,
            Some(_) => format!("the group {} has no module {}", reference.group, reference.module),
            None => {
                let known: Vec<&str> = self.groups.iter().map(|group| group.name.as_str()).collect();
                format!(
                    "the group {} of the module {} doesn't exist; the groups are {}",
                    reference.group,
                    reference.module,
                    excerpt(&known.join(", "), 300)
                )
            }
        };
        problems.error(&reference.at, message);
    }

    /// The shortest path along references, with both ends.
    fn way(&self, from: Number, to: Number) -> Option<Vec<Number>> {
        let mut before: HashMap<Number, Number> = HashMap::new();
        let mut seen = HashSet::from([from]);
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front() {
            if at == to {
                let mut way = vec![at];
                while let Some(&earlier) = way.last().and_then(|last| before.get(last)) {
                    way.push(earlier);
                }
                way.reverse();
                return Some(way);
            }
            for reference in &self.groups[at.0].modules[at.1].references {
                if let Some(&consumed) = self.numbers.get(&(&reference.group, &reference.module))
                    && seen.insert(consumed)
                {
                    before.insert(consumed, at);
                    next.push_back(consumed);
                }
            }
        }
        None
    }
}
