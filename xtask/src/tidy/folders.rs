//! Rule: no import cycle spans folders of a crate, for the crates that `xtask/layers.toml` lists, at any depth.
//!
//! 1. [`Crate::read`] follows the `mod` declarations from the crate's root; modules for tests only are left out.
//! 2. [`arrows`] finds the imports of each file, both in `use` and in paths amid the code.
//! 3. [`cycles`] looks at the folders in one folder and at the files beside them, each as one place.
//! 4. [`all_cycles`] does so for the crate's root and for each folder; [`excuse`] leaves out the aggregates of the
//!    list.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{
    Fault, Rule,
    layers::{Aggregate, Law},
    source::tokens,
};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "folders",
    reason: "a folder whose files need those above it cannot be read, moved or tested alone",
    check,
    fix: None,
};

/// Segments of a path, from the crate's root.
type Path = Vec<String>;

/// One import: where it stands, where it leads.
type Arrow = (Path, Path);

/// The files of one crate, by their module.
#[derive(Debug, Default)]
struct Crate {
    modules: BTreeMap<Path, TokenStream>,
}

impl Crate {
    /// Reads the modules from the root on. `text` gives the text of a file below `src/`, if there is such a file.
    ///
    /// # Errors
    /// A file is not Rust.
    fn read(root: &str, text: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let mut found = Self::default();
        let mut waiting = vec![(Path::new(), root.to_owned())];
        while let Some((module, file)) = waiting.pop() {
            let Some(text_of_file) = text(&file) else {
                continue;
            };
            let shipped = without_tests(tokens(&file, &text_of_file)?);
            for name in declared(&shipped) {
                let mut child = module.clone();
                child.push(name);
                let place = child.join("/");
                let files = [format!("{place}.rs"), format!("{place}/mod.rs")];
                if let Some(file) = files.into_iter().find(|file| text(file).is_some()) {
                    waiting.push((child, file));
                }
            }
            found.modules.insert(module, shipped);
        }
        Ok(found)
    }

    /// The module whose file has what `path` names.
    fn holder(&self, path: &[String]) -> Path {
        let lengths = (0..=path.len()).rev();
        let mut candidates = lengths.map(|length| path[..length].to_vec());
        candidates
            .find(|candidate| self.modules.contains_key(candidate))
            .unwrap_or_default()
    }

    /// Where `path` leads, as written in `module`; `None` for what is another crate's.
    fn resolve(&self, module: &[String], path: &[String]) -> Option<Path> {
        let first = path.first()?;
        let mut base = match first.as_str() {
            "crate" => Path::new(),
            "self" => module.to_vec(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            child => {
                let mut below = module.to_vec();
                below.push(child.to_owned());
                return self
                    .modules
                    .contains_key(&below)
                    .then(|| [module, path].concat());
            }
        };
        for segment in &path[1..] {
            match segment.as_str() {
                "super" => {
                    base.pop()?;
                }
                "self" => {}
                _ => base.push(segment.clone()),
            }
        }
        Some(base)
    }
}

/// All imports between files of a crate.
fn arrows(files: &Crate) -> BTreeSet<Arrow> {
    let mut found = BTreeSet::new();
    for (module, shipped) in &files.modules {
        let mut paths = Vec::new();
        collect(shipped.clone(), module, &mut paths);
        for (within, path) in paths {
            if let Some(leads) = files.resolve(&within, &path) {
                let holder = files.holder(&leads);
                if holder != *module {
                    found.insert((module.clone(), holder));
                }
            }
        }
    }
    found
}

/// A set of places of a folder that import each other in a circle.
#[derive(Debug, PartialEq, Eq)]
struct Circle {
    /// The folder; empty for the crate's root.
    folder: Path,
    /// Folders and files in it, by name; empty for the folder's own file.
    places: BTreeSet<String>,
    /// The arrows that tie it.
    tying: Vec<Arrow>,
}

/// All circles of a crate, those of its root first.
fn all_cycles(files: &Crate) -> Vec<Circle> {
    let arrows = arrows(files);
    let folders: BTreeSet<&[String]> = files
        .modules
        .keys()
        .flat_map(|module| (0..module.len()).map(|depth| &module[..depth]))
        .collect();
    let of_folder = |folder: &[String]| cycles(files, &arrows, folder);
    folders.into_iter().flat_map(of_folder).collect()
}

/// The folder, or the file beside folders, that a module of a folder at this depth is in; empty for the folder's own
/// file.
fn place_at(module: &[String], depth: usize) -> &str {
    module.get(depth).map_or("", String::as_str)
}

/// The sets of places in `folder` that import each other in a circle, if a folder is among them.
fn cycles(files: &Crate, arrows: &BTreeSet<Arrow>, folder: &[String]) -> Vec<Circle> {
    let depth = folder.len();
    let modules: Vec<&Path> = files
        .modules
        .keys()
        .filter(|module| module.starts_with(folder))
        .collect();
    let arrows: Vec<&Arrow> = arrows
        .iter()
        .filter(|(from, to)| from.starts_with(folder) && to.starts_with(folder))
        .collect();
    let places: BTreeSet<&str> = modules
        .iter()
        .map(|module| place_at(module, depth))
        .collect();
    let next: BTreeSet<(&str, &str)> = arrows
        .iter()
        .map(|(from, to)| (place_at(from, depth), place_at(to, depth)))
        .collect();
    let found = circles(&places, &next);
    let is_folder = |at: &String| {
        let within = |module: &&Path| module.len() > depth + 1 && module[depth] == *at;
        modules.iter().any(within)
    };
    let with_arrows = |places: BTreeSet<String>| {
        let within = |&&(from, to): &&&Arrow| {
            place_at(from, depth) != place_at(to, depth)
                && places.contains(place_at(from, depth))
                && places.contains(place_at(to, depth))
        };
        let tying = arrows.iter().filter(within).copied().cloned().collect();
        Circle {
            folder: folder.to_vec(),
            places,
            tying,
        }
    };
    found
        .into_iter()
        .filter(|circle| circle.iter().any(is_folder))
        .map(with_arrows)
        .collect()
}

/// The sets of places of which each is reached from each other one by the arrows `next`.
fn circles(places: &BTreeSet<&str>, next: &BTreeSet<(&str, &str)>) -> BTreeSet<BTreeSet<String>> {
    let reached = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![start];
        while let Some(at) = waiting.pop() {
            for &(_, to) in next.iter().filter(|(from, _)| *from == at) {
                if seen.insert(to) {
                    waiting.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        places.iter().map(|&at| (at, reached(at))).collect();
    let ties = |a: &str, b: &str| reached[a].contains(b) && reached[b].contains(a);
    let circle_of = |at: &str| -> BTreeSet<String> {
        let circle = places
            .iter()
            .filter(|&&other| other == at || ties(at, other));
        circle.map(|&other| other.to_owned()).collect()
    };
    let all = places.iter().map(|&at| circle_of(at));
    all.filter(|circle| circle.len() > 1).collect()
}

/// `tokens` without the items that only tests have.
pub(super) fn without_tests(tokens: TokenStream) -> TokenStream {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept = Vec::new();
    let mut index = 0;
    while index < trees.len() {
        if is_punct(&trees[index], '#') && trees.get(index + 1).is_some_and(is_for_tests) {
            index += 2;
            // The item ends with a block, or with a semicolon.
            while index < trees.len() && !is_punct(&trees[index], ';') && !is_block(&trees[index]) {
                index += 1;
            }
        } else {
            kept.push(trees[index].clone());
        }
        index += 1;
    }
    kept.into_iter().collect()
}

/// Whether `tree` is the `[cfg(test)]` of an attribute.
fn is_for_tests(tree: &TokenTree) -> bool {
    let text = tree.to_string().replace(' ', "");
    text == "[cfg(test)]" || text.starts_with("[cfg(all(test,")
}

fn is_punct(tree: &TokenTree, wanted: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_block(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// The names of modules in files of their own.
fn declared(tokens: &TokenStream) -> Vec<String> {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let declaration = |window: &[TokenTree]| match window {
        [TokenTree::Ident(word), TokenTree::Ident(name), end]
            if word == "mod" && is_punct(end, ';') =>
        {
            Some(name.to_string())
        }
        _ => None,
    };
    trees.windows(3).filter_map(declaration).collect()
}

/// Appends the paths in `tokens` that may lead to another file, each with the module it is written in.
fn collect(tokens: TokenStream, module: &[String], found: &mut Vec<Arrow>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut index = 0;
    while index < trees.len() {
        match &trees[index] {
            TokenTree::Ident(word)
                if word == "mod" && trees.get(index + 2).is_some_and(is_block) =>
            {
                let mut within = module.to_vec();
                within.push(trees[index + 1].to_string());
                if let TokenTree::Group(group) = &trees[index + 2] {
                    collect(group.stream(), &within, found);
                }
                index += 2;
            }
            TokenTree::Ident(word) if word == "use" => {
                let rest = trees[index + 1..].iter();
                let tree: Vec<TokenTree> = rest
                    .take_while(|tree| !is_punct(tree, ';'))
                    .cloned()
                    .collect();
                index += tree.len();
                let mut leaves = Vec::new();
                use_leaves(&tree, &Path::new(), &mut leaves);
                found.extend(leaves.into_iter().map(|leaf| (module.to_vec(), leaf)));
            }
            TokenTree::Ident(word) if word == "crate" || word == "super" => {
                let path = path_at(&trees[index..]);
                index += (path.len() - 1) * 3;
                if path.len() > 1 {
                    found.push((module.to_vec(), path));
                }
            }
            TokenTree::Group(group) => collect(group.stream(), module, found),
            _ => {}
        }
        index += 1;
    }
}

/// The path that `trees` begin with: names with `::` in between.
fn path_at(trees: &[TokenTree]) -> Path {
    let mut path = vec![trees[0].to_string()];
    let mut rest = &trees[1..];
    while let [first, second, TokenTree::Ident(name), ..] = rest
        && is_punct(first, ':')
        && is_punct(second, ':')
    {
        path.push(name.to_string());
        rest = &rest[3..];
    }
    path
}

/// Appends all paths of a use tree; `before` is what stands before its braces.
fn use_leaves(trees: &[TokenTree], before: &[String], found: &mut Vec<Path>) {
    for branch in trees.split(|tree| is_punct(tree, ',')) {
        let mut path = before.to_vec();
        let mut is_group = false;
        for tree in branch {
            match tree {
                TokenTree::Ident(word) if word == "as" => break,
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    use_leaves(&inner, &path, found);
                    is_group = true;
                }
                _ => {}
            }
        }
        if !is_group && path.len() > before.len() {
            found.push(path);
        }
    }
}

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let law = Law::read(repository)?;
    let mut faults = Vec::new();
    for name in &law.acyclic {
        let source = format!("crates/{name}/src");
        let text = |file: &str| {
            let file = format!("{source}/{file}");
            let is_there = repository.files.binary_search(&file).is_ok();
            is_there.then(|| repository.read(&file).ok()).flatten()
        };
        let root = ["lib.rs", "main.rs"]
            .into_iter()
            .find(|root| text(root).is_some());
        let Some(root) = root else {
            let what = format!("lists the crate {name}, which has no sources in {source}");
            faults.push(Fault::new(super::layers::FILE, what, "remove it"));
            continue;
        };
        let (circles, idle) = excuse(
            all_cycles(&Crate::read(root, &text)?),
            &law.aggregates,
            name,
        );
        faults.extend(circles.iter().map(|circle| fault(&source, circle)));
        faults.extend(idle.into_iter().map(|aggregate| {
            let what = format!(
                "lists an aggregate in {name}/{} that is no circle any more, or a smaller one",
                aggregate.folder
            );
            Fault::new(super::layers::FILE, what, "remove it, or what has left it")
        }));
    }
    Ok(faults)
}

/// The circles that no aggregate of the list explains, and the aggregates of the crate `name` that are not exactly a
/// circle.
fn excuse<'a>(
    circles: Vec<Circle>,
    aggregates: &'a [Aggregate],
    name: &str,
) -> (Vec<Circle>, Vec<&'a Aggregate>) {
    let is_of = |aggregate: &Aggregate, circle: &Circle| {
        let listed: BTreeSet<&str> = aggregate
            .places
            .iter()
            .map(|place| file_of(place))
            .collect();
        aggregate.folder == circle.folder.join("/")
            && circle.places.iter().map(String::as_str).eq(listed)
    };
    let (mine, mut left) = (
        aggregates.iter().filter(|aggregate| aggregate.room == name),
        circles,
    );
    let mut idle = Vec::new();
    for aggregate in mine {
        let before = left.len();
        left.retain(|circle| !is_of(aggregate, circle));
        if left.len() == before {
            idle.push(aggregate);
        }
    }
    (left, idle)
}

/// The place that the list calls `place`: there a folder's own file is `mod`.
fn file_of(place: &str) -> &str {
    match place {
        "mod" => "",
        place => place,
    }
}

fn fault(source: &str, circle: &Circle) -> Fault {
    let named = |name: String| match (name.is_empty(), circle.folder.is_empty()) {
        (true, true) => "the crate's root".to_owned(),
        (true, false) => "mod".to_owned(),
        (false, _) => name,
    };
    let shown = |module: &Path| match module.is_empty() {
        true => "the crate's root".to_owned(),
        false => module.join("::"),
    };
    let names: Vec<String> = circle.places.iter().cloned().map(named).collect();
    let arrows: Vec<String> = circle
        .tying
        .iter()
        .map(|(from, to)| format!("{} -> {}", shown(from), shown(to)))
        .collect();
    let place = [&[source.to_owned()], circle.folder.as_slice()].concat();
    Fault::new(
        place.join("/"),
        format!(
            "these import each other in a circle: {}; by {}",
            names.join(", "),
            arrows.join(", ")
        ),
        "move what both sides need to where neither needs the other, or pass it as a parameter",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let text = |wanted: &str| {
            let found = files.iter().find(|(file, _)| *file == wanted);
            found.map(|(_, text)| (*text).to_owned())
        };
        let found = all_cycles(&Crate::read("lib.rs", &text).unwrap());
        found
            .into_iter()
            .map(|circle| circle.places.into_iter().collect())
            .collect()
    }

    /// A crate with a circle in its folder `high`.
    const NESTED: [(&str, &str); 6] = [
        ("lib.rs", "mod high;"),
        ("high/mod.rs", "mod a; mod b; mod c; use a::x;"),
        ("high/a/mod.rs", "mod x; use super::b;"),
        ("high/a/x.rs", "use crate::high::b::B;"),
        ("high/b.rs", "use super::a::x; use super::c;"),
        ("high/c.rs", ""),
    ];

    #[test]
    fn a_cycle_between_nested_folders_is_found_unless_it_is_listed() {
        let text = |wanted: &str| {
            let found = NESTED.iter().find(|(file, _)| *file == wanted);
            found.map(|(_, text)| (*text).to_owned())
        };
        let found = || all_cycles(&Crate::read("lib.rs", &text).unwrap());
        assert_eq!(found().len(), 1);
        assert_eq!(found()[0].folder, ["high"]);
        let of = |room: &str, places: &[&str]| Aggregate {
            room: room.to_owned(),
            folder: "high".to_owned(),
            places: places.iter().map(|place| (*place).to_owned()).collect(),
            reason: String::new(),
        };
        let listed = [of("mine", &["a", "b"]), of("other", &["a", "b"])];
        assert_eq!(excuse(found(), &listed, "mine"), (Vec::new(), Vec::new()));
        // More than there is, or less, explains nothing.
        for places in [&["a", "b", "mod"][..], &["a"]] {
            let listed = [of("mine", places)];
            let (left, idle) = excuse(found(), &listed, "mine");
            assert_eq!((left, idle), (found(), vec![&listed[0]]));
        }
    }

    const ROOT: (&str, &str) = ("lib.rs", "mod high; mod low; mod leaf;");

    #[test]
    fn arrows_in_one_direction_are_no_cycle() {
        let files = [
            ROOT,
            ("high/mod.rs", "mod a; use crate::low::b::B;"),
            (
                "high/a.rs",
                "use crate::{leaf::Leaf, low::{self, b}}; use super::X;",
            ),
            ("low/mod.rs", "pub mod b; pub use b::B;"),
            (
                "low/b.rs",
                "use crate::leaf; use super::b as c; fn f() { crate::leaf::g() }",
            ),
            (
                "leaf.rs",
                "use std::fmt; // crate::high::a\n const S: &str = \"crate::high::a\";",
            ),
        ];
        assert!(circles(&files).is_empty());
    }

    #[test]
    fn a_cycle_between_folders_is_found_in_every_spelling() {
        let spellings = [
            "use crate::high::a::A;",
            "use crate::{leaf::{X, Y as Z}, high::a};",
            "use super::super::high::a;",
            "pub(crate) use crate::high as above;",
            "use crate::high::*;",
            "fn f() { crate::high::a::g(); }",
            "fn f(x: super::super::high::A) {}",
            "m! { crate::high::A }",
            "mod inner { use super::super::super::high::A; }",
        ];
        for spelling in spellings {
            let files = [
                ROOT,
                ("high/mod.rs", "mod a;"),
                ("high/a.rs", "use crate::low::b::B;"),
                ("low/mod.rs", "mod b;"),
                ("low/b.rs", spelling),
                ("leaf.rs", ""),
            ];
            assert_eq!(circles(&files), [["high", "low"]], "{spelling}");
        }
    }

    #[test]
    fn a_cycle_through_a_file_beside_the_folders_counts() {
        let files = [
            ROOT,
            ("high/mod.rs", "mod a;"),
            ("high/a.rs", "use crate::leaf;"),
            ("low.rs", "use crate::high::a;"),
            ("leaf.rs", "use crate::low;"),
        ];
        assert_eq!(circles(&files), [["high", "leaf", "low"]]);
        let through_root = [
            ("lib.rs", "mod high; pub struct X; use high::a;"),
            ("high/mod.rs", "mod a;"),
            ("high/a.rs", "use crate::X;"),
        ];
        assert_eq!(circles(&through_root), [["", "high"]]);
    }

    #[test]
    fn cycles_within_a_folder_among_single_files_and_in_tests_do_not_count() {
        let files = [
            ROOT,
            ("high/mod.rs", "mod a; mod b;"),
            ("high/a.rs", "use super::b; use crate::low;"),
            ("high/b.rs", "use super::a;"),
            (
                "low.rs",
                "use crate::leaf; #[cfg(test)] mod tests { use crate::high::a; }",
            ),
            ("leaf.rs", "use crate::low; #[cfg(test)] mod helpers;"),
            ("leaf/helpers.rs", "use crate::high::a;"),
        ];
        assert!(circles(&files).is_empty());
    }
}
