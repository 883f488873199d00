//! The fenced blocks of a Markdown file.

/// The mark of a fence.
const FENCE: &str = "```";

/// What stands between two fences.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The line of its first fence, from 1.
    pub line: usize,
    /// The word behind that fence.
    pub language: String,
    /// The last line of text before it.
    pub lead: String,
    /// Its lines.
    pub lines: Vec<String>,
}

/// All blocks of a document, in its order.
///
/// # Errors
/// A block has no language or no end, or is made by indentation, which gives it neither.
pub(super) fn of(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    let mut lead = "";
    let mut blank = true;
    for (line, number) in text.lines().zip(1..) {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if let Some((block, outer)) = &mut open {
            if content.trim_end() == FENCE {
                blocks.extend(open.take().map(|(block, _)| block));
            } else {
                block.lines.push(
                    line.get((*outer).min(indent)..)
                        .unwrap_or_default()
                        .to_owned(),
                );
            }
        } else if let Some(language) = content.strip_prefix(FENCE) {
            if language.trim().is_empty() {
                return Err(format!(
                    "line {number}: a fence without a language; a picture is text"
                ));
            }
            let block = Block {
                line: number,
                language: language.trim().to_owned(),
                lead: lead.to_owned(),
                lines: Vec::new(),
            };
            open = Some((block, indent));
        } else if blank && (line.starts_with("    ") || line.starts_with('\t')) {
            return Err(format!(
                "line {number}: a block by indentation; write it between fences"
            ));
        }
        blank = content.is_empty();
        if !blank {
            lead = line;
        }
    }
    match open {
        Some((block, _)) => Err(format!("line {}: a fence without an end", block.line)),
        None => Ok(blocks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_language_and_what_leads_to_them() {
        let text = "# A\n\nIn `a.c`:\n\n```c\nint a;\n\n    int b;\n```\n\n- list\n  ```sh\n  true\n  ```\n";
        let blocks = of(text).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].line, blocks[0].language.as_str()), (5, "c"));
        assert_eq!(blocks[0].lead, "In `a.c`:");
        assert_eq!(blocks[0].lines, ["int a;", "", "    int b;"]);
        assert_eq!(blocks[1].lines, ["true"]);
    }

    #[test]
    fn what_would_escape_the_tests_is_a_fault() {
        for (text, fault) in [
            ("```\ntrue\n```\n", "line 1: a fence without a language"),
            ("text\n\n    hcs list\n", "line 3: a block by indentation"),
            ("```sh\ntrue\n", "line 1: a fence without an end"),
        ] {
            let said = of(text).unwrap_err();
            assert!(said.starts_with(fault), "{said}");
        }
        // A paragraph goes on, however far its lines stand to the right.
        assert!(of("text\n    goes on\n").unwrap().is_empty());
    }
}
