//! Tables as text, with aligned columns: how every status prints.

use std::fmt;

/// A table that prints with a header line, texts aligned left and numbers right; the last line has no line break.
#[derive(Clone, Debug, Default)]
pub(crate) struct TextTable {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Column {
    title: &'static str,
    align: Align,
}

#[derive(Clone, Copy, Debug)]
enum Align {
    Left,
    Right,
}

impl TextTable {
    /// A table without columns.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a column of texts.
    pub(crate) fn text(self, title: &'static str) -> Self {
        self.column(title, Align::Left)
    }

    /// Adds a column of numbers.
    pub(crate) fn number(self, title: &'static str) -> Self {
        self.column(title, Align::Right)
    }

    fn column(mut self, title: &'static str, align: Align) -> Self {
        self.columns.push(Column { title, align });
        self
    }

    /// Adds a row, a cell a column. Control characters are escaped: a name must not be able to forge a row.
    pub(crate) fn row<C: fmt::Display>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells = cells.into_iter().map(|cell| one_line(&cell.to_string()));
        self.rows.push(cells.collect());
    }

    fn line<'a>(
        &self,
        f: &mut fmt::Formatter<'_>,
        cells: impl Iterator<Item = &'a str>,
        widths: &[usize],
    ) -> fmt::Result {
        for (index, ((cell, width), column)) in cells.zip(widths).zip(&self.columns).enumerate() {
            if index > 0 {
                f.write_str("  ")?;
            }
            match column.align {
                Align::Right => write!(f, "{cell:>width$}")?,
                // Nothing follows it, so it needs no padding.
                Align::Left if index + 1 == self.columns.len() => f.write_str(cell)?,
                Align::Left => write!(f, "{cell:<width$}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                widest.max(column.title.chars().count())
            })
            .collect();
        self.line(f, self.columns.iter().map(|column| column.title), &widths)?;
        for row in &self.rows {
            f.write_str("\n")?;
            self.line(f, row.iter().map(String::as_str), &widths)?;
        }
        Ok(())
    }
}

fn one_line(cell: &str) -> String {
    if !cell.contains(char::is_control) {
        return cell.to_owned();
    }
    let escaped = cell.chars().map(|c| match c {
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_stand_left_and_numbers_right_under_their_titles() {
        let mut table = TextTable::new().text("service").number("n").text("note");
        table.row(["a", "1", "first"]);
        table.row(["größer_als", "1000", ""]);
        let expected = "\
service        n  note
a              1  first
größer_als  1000  ";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        let table = TextTable::new().text("service").number("functions");
        assert_eq!(table.to_string(), "service  functions");
    }

    #[test]
    fn a_cell_cannot_forge_a_row() {
        let mut table = TextTable::new().text("name").text("state");
        table.row(["evil\nroot  healthy\u{1b}[2J", "down"]);
        assert_eq!(table.to_string().lines().count(), 2);
        assert!(!table.to_string().contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn every_column_begins_at_the_same_place_in_every_line(
            cells in proptest::collection::vec(("[a-wé]{0,9}", 0u64.., "x[a-z]{0,5}"), 0..8),
        ) {
            let mut table = TextTable::new().text("left").number("number").text("X");
            for (left, number, right) in &cells {
                table.row([left.clone(), number.to_string(), right.clone()]);
            }
            let text = table.to_string().replace('X', "x");
            let starts: Vec<_> = text
                .lines()
                .map(|line| line.chars().position(|c| c == 'x'))
                .collect();
            // No other column holds an `x`, so the first one begins the last column.
            prop_assert!(starts.iter().all(|start| *start == starts[0]), "{}", text);
            prop_assert_eq!(text.lines().count(), cells.len() + 1);
        }
    }
}
