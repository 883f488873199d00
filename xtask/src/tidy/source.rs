//! What the rules need to know of a Rust file: its tokens, its functions and their length.

use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::Result;

/// A function found in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name.
    pub name: String,
    /// Line of its `fn`, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace.
    pub lines: usize,
}

/// The tokens of a file.
///
/// # Errors
/// It is not Rust.
pub(super) fn tokens(file: &str, text: &str) -> Result<TokenStream> {
    TokenStream::from_str(text)
        .map_err(|error| format!("{file} is not made of Rust tokens: {error}").into())
}

/// All functions with a body, also those in macros.
pub(super) fn functions(tokens: TokenStream) -> Vec<Function> {
    let mut found = Vec::new();
    collect_functions(tokens, &mut found);
    found
}

fn collect_functions(tokens: TokenStream, found: &mut Vec<Function>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => collect_functions(group.stream(), found),
            TokenTree::Ident(word) if word == "fn" => found.extend(function(&trees[index..])),
            _ => {}
        }
    }
}

/// `trees` begins with `fn`; the type `fn(...)` has no name and so is none.
fn function(trees: &[TokenTree]) -> Option<Function> {
    let TokenTree::Ident(name) = trees.get(1)? else {
        return None;
    };
    let line = trees[0].span().start().line;
    for tree in &trees[2..] {
        match tree {
            TokenTree::Punct(p) if p.as_char() == ';' => return None,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                return Some(Function {
                    name: name.to_string(),
                    line,
                    lines: group.span_close().end().line - line + 1,
                });
            }
            _ => {}
        }
    }
    None
}

/// The lines where the word `wanted` stands as a token.
pub(super) fn lines_with_word(tokens: TokenStream, wanted: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => lines.extend(lines_with_word(group.stream(), wanted)),
            TokenTree::Ident(word) if word == wanted => lines.push(word.span().start().line),
            _ => {}
        }
    }
    lines
}

/// The lines where unsafe code stands: the word `unsafe`, unless it begins the type of a function pointer.
pub(super) fn unsafe_lines(tokens: TokenStream) -> Vec<usize> {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut lines = Vec::new();
    for (index, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => lines.extend(unsafe_lines(group.stream())),
            TokenTree::Ident(word) if word == "unsafe" && !is_pointer_type(&trees[index + 1..]) => {
                lines.push(word.span().start().line);
            }
            _ => {}
        }
    }
    lines
}

/// Whether `trees`, which follow `unsafe`, are `extern "..." fn (` or `fn (`: a function has a name there.
fn is_pointer_type(trees: &[TokenTree]) -> bool {
    let mut rest = trees
        .iter()
        .skip_while(|tree| matches!(tree, TokenTree::Literal(_)) || tree.to_string() == "extern");
    let after = (rest.next(), rest.next());
    matches!(after, (Some(TokenTree::Ident(word)), Some(TokenTree::Group(_))) if word == "fn")
}

/// Lines of code that ship: without blank lines, comments and the test module at the end.
pub(super) fn code_lines(text: &str) -> usize {
    let product = text
        .find("\n#[cfg(test)]\nmod ")
        .map_or(text, |at| &text[..at]);
    product
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "//! Head.\nfn one() {\n    let f: fn(u8) = g;\n}\n\ntrait T {\n    fn none(&self);\n    fn two(&self)\n    where\n        Self: Sized,\n    {\n    }\n}\n\nm! { fn three() { unsafe {} } }\n\n#[cfg(test)]\nmod tests {}\n";

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let found = functions(tokens("t.rs", TEXT).unwrap());
        let short: Vec<_> = found
            .iter()
            .map(|f| (f.name.as_str(), f.line, f.lines))
            .collect();
        assert_eq!(short, [("one", 2, 3), ("two", 8, 5), ("three", 15, 1)]);
    }

    #[test]
    fn words_are_found_in_macros_but_not_in_text() {
        let tokens = tokens(
            "t.rs",
            &format!("{TEXT}// unsafe\nconst S: &str = \"unsafe\";\n"),
        );
        assert_eq!(lines_with_word(tokens.unwrap(), "unsafe"), [15]);
    }

    #[test]
    fn unsafe_code_is_told_from_the_type_of_a_pointer() {
        let text = "type A = unsafe extern \"C\" fn(u8);\ntype B = unsafe fn();\nunsafe extern \"C\" fn f() {}\nfn g() {\n    unsafe { f() }\n}\n#[unsafe(no_mangle)]\nunsafe impl S for T {}\n";
        assert_eq!(unsafe_lines(tokens("t.rs", text).unwrap()), [3, 5, 7, 8]);
    }

    #[test]
    fn tests_and_comments_are_no_code() {
        assert_eq!(code_lines(TEXT), 12);
    }
}
