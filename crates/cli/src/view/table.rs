//! Tables: columns that line up, one row a line. In a pipe the last column is whole; on a terminal it is cut to the width.
//! A terminal that is too narrow for the other columns gets each row as a block of lines: names are copied, so they are never
//! cut.

use console::measure_text_width;
use seedflow_terminal::{Tone, Ui};

/// The least width of the last column.
const LEAST: usize = 20;

/// A cell: its text, and how it is coloured on a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    /// A cell in the tone of what it says.
    pub fn toned(text: impl AsRef<str>, tone: Option<Tone>) -> Self {
        Self {
            text: one_line(text.as_ref()),
            tone,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, None)
    }
}

/// A cell is one line, and no text of a module controls the terminal.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// A table with a heading.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
    /// Lines below rows, by the number of rows before each.
    notes: Vec<(usize, Cell)>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        let heading = columns.map(|column| Cell::toned(column, Some(Tone::Quiet)));
        Self {
            rows: vec![heading.into()],
            notes: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// Adds a line below the last row, from its second column on.
    pub fn note(&mut self, text: impl AsRef<str>) {
        let note = Cell::toned(text, Some(Tone::Quiet));
        self.notes.push((self.rows.len(), note));
    }

    /// The lines; `width` is the terminal's, and `paint` colours a text.
    #[must_use]
    pub fn lines(&self, width: Option<usize>, paint: impl Fn(Tone, &str) -> String) -> Vec<String> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns).map(|column| self.width_of(column)).collect();
        if width.is_some_and(|most| least(&widths) > most) {
            return self.blocks(paint);
        }
        let indent = " ".repeat(widths.first().map_or(0, |width| width + 2));
        let mut lines = Vec::new();
        for (position, row) in self.rows.iter().enumerate() {
            lines.push(line(row, &widths, width, &paint));
            let below = self.notes.iter().filter(|(rows, _)| *rows == position + 1);
            lines.extend(below.map(|(_, note)| format!("{indent}{}", paint(Tone::Quiet, &note.text))));
        }
        lines
    }

    fn width_of(&self, column: usize) -> usize {
        let lengths = self.rows.iter().filter_map(|row| row.get(column));
        lengths
            .map(|cell| measure_text_width(&cell.text))
            .max()
            .unwrap_or(0)
    }

    /// Each row as lines: its first cell, then a line for each further one that has a text.
    fn blocks(&self, paint: impl Fn(Tone, &str) -> String) -> Vec<String> {
        let painted = |cell: &Cell| {
            let tone = cell.tone;
            tone.map_or_else(|| cell.text.clone(), |tone| paint(tone, &cell.text))
        };
        let Some((heading, rows)) = self.rows.split_first() else {
            return Vec::new();
        };
        let labels: Vec<String> = heading.iter().map(|label| label.text.to_lowercase()).collect();
        let width = labels.iter().skip(1).map(String::len).max().unwrap_or(0);
        let mut lines = Vec::new();
        for (position, row) in rows.iter().enumerate() {
            lines.extend(row.first().map(painted));
            let more = labels.iter().zip(row).skip(1);
            let more = more.filter(|(_, cell)| !cell.text.is_empty());
            lines.extend(more.map(|(label, cell)| {
                let label = paint(Tone::Quiet, &format!("{label:width$}"));
                format!("  {label}  {}", painted(cell))
            }));
            // The heading counts as a row.
            let below = self.notes.iter().filter(|(rows, _)| *rows == position + 2);
            lines.extend(below.map(|(_, note)| format!("  {}", paint(Tone::Quiet, &note.text))));
        }
        lines
    }

    /// Prints the table.
    pub fn show(&self, ui: &Ui) {
        let paint = |tone: Tone, text: &str| ui.paint(tone, text);
        for line in self.lines(width(), paint) {
            ui.say(line);
        }
    }
}

/// The least width of a line with columns of these widths.
fn least(widths: &[usize]) -> usize {
    let Some((last, others)) = widths.split_last() else {
        return 0;
    };
    others.iter().map(|width| width + 2).sum::<usize>() + (*last).min(LEAST)
}

fn line(
    row: &[Cell],
    widths: &[usize],
    most: Option<usize>,
    paint: &impl Fn(Tone, &str) -> String,
) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (position, cell) in row.iter().enumerate() {
        let is_last = position + 1 == row.len();
        let text = match most.filter(|_| is_last) {
            Some(most) => cut(&cell.text, most.saturating_sub(used)),
            None => cell.text.clone(),
        };
        let pad = widths
            .get(position)
            .copied()
            .unwrap_or(0)
            .saturating_sub(measure_text_width(&text));
        line.push_str(&cell.tone.map_or_else(|| text.clone(), |tone| paint(tone, &text)));
        if !is_last {
            line.push_str(&" ".repeat(pad + 2));
            used += widths.get(position).copied().unwrap_or(0) + 2;
        }
    }
    line.trim_end().to_owned()
}

fn cut(text: &str, most: usize) -> String {
    console::truncate_str(text, most, "…").into_owned()
}

/// The width of the terminal; `None` in a pipe.
fn width() -> Option<usize> {
    console::Term::stdout()
        .size_checked()
        .map(|(_, columns)| usize::from(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["MODULE", "STATE", "CAUSE"]);
        table.row([
            "dev/network/vpc".into(),
            Cell::toned("FAILED", Some(Tone::Bad)),
            "a\n\u{1b}[2Jlong cause of a failure".into(),
        ]);
        table.row(["dev".into(), "SUCCEEDED".into(), "".into()]);
        table
    }

    #[test]
    fn columns_line_up_and_a_pipe_gets_everything_in_one_line() {
        let lines = table().lines(None, |_, text| text.to_owned());
        assert_eq!(
            lines,
            [
                "MODULE           STATE      CAUSE",
                "dev/network/vpc  FAILED     a  [2Jlong cause of a failure",
                "dev              SUCCEEDED",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_gets_a_block_for_each_row_and_no_name_is_cut() {
        let mut table = table();
        table.note("~ size: 2 -> 3");
        let lines = table.lines(Some(40), |_, text| text.to_owned());
        assert_eq!(
            lines,
            [
                "dev/network/vpc",
                "  state  FAILED",
                "  cause  a  [2Jlong cause of a failure",
                "dev",
                "  state  SUCCEEDED",
                "  ~ size: 2 -> 3",
            ]
        );
    }

    #[test]
    fn wide_letters_take_two_columns() {
        let mut table = Table::new(["NAME", "WHY"]);
        table.row(["漢字漢字".into(), "a".into()]);
        table.row(["x".into(), "b".into()]);
        let lines = table.lines(Some(80), |_, text| text.to_owned());
        assert_eq!(lines, ["NAME      WHY", "漢字漢字  a", "x         b"]);
    }

    #[test]
    fn a_note_is_below_its_row_and_whole() {
        let mut table = table();
        table.note("~ size: 2 -> 3, longer than the terminal is wide");
        let lines = table.lines(Some(48), |_, text| text.to_owned());
        assert_eq!(
            lines[3],
            format!(
                "{}~ size: 2 -> 3, longer than the terminal is wide",
                " ".repeat(17)
            )
        );
    }

    #[test]
    fn a_terminal_gets_colours_and_no_line_that_wraps() {
        let lines = table().lines(Some(50), |_, text| format!("<{text}>"));
        assert_eq!(lines[1], "dev/network/vpc  <FAILED>     a  [2Jlong cause of a…");
    }
}
