//! Names side by side: as many columns as fit the terminal, filled from top to bottom.

/// Blanks between two columns.
const GAP: usize = 2;

/// Where each of several cells stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    /// How many cells stand one below the other.
    rows: usize,
    /// How wide each column is.
    widths: Vec<usize>,
}

impl Columns {
    /// Arranges cells of these widths for a terminal of `width` columns. A cell that is wider than that stands alone.
    pub(crate) fn arrange(cells: &[usize], width: usize) -> Self {
        let narrowest = cells.iter().min().copied().unwrap_or(0);
        let most = (width + GAP) / (narrowest + GAP);
        (2..=most.min(cells.len()))
            .rev()
            .map(|columns| Self::in_rows(cells, cells.len().div_ceil(columns)))
            .find(|columns| columns.width() <= width)
            .unwrap_or_else(|| Self::in_rows(cells, cells.len()))
    }

    fn in_rows(cells: &[usize], rows: usize) -> Self {
        let widths = cells.chunks(rows.max(1)).map(|column| column.iter().max().copied().unwrap_or(0)).collect();
        Self { rows, widths }
    }

    fn width(&self) -> usize {
        self.widths.iter().sum::<usize>() + GAP * self.widths.len().saturating_sub(1)
    }

    /// The rows: of each cell its number, and at which column it begins.
    pub(crate) fn rows(&self, cells: usize) -> impl Iterator<Item = Vec<(usize, usize)>> {
        (0..self.rows).map(move |row| {
            let numbers = (row..cells).step_by(self.rows);
            let starts = self.widths.iter().scan(0, |next, width| {
                let start = *next;
                *next += width + GAP;
                Some(start)
            });
            numbers.zip(starts).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cells: &[&str], width: usize) -> Vec<String> {
        let widths: Vec<usize> = cells.iter().map(|cell| cell.len()).collect();
        let columns = Columns::arrange(&widths, width);
        columns
            .rows(cells.len())
            .map(|row| {
                row.into_iter().fold(String::new(), |line, (cell, start)| format!("{line:start$}{}", cells[cell]))
            })
            .collect()
    }

    #[test]
    fn columns_are_filled_from_top_to_bottom() {
        let cells = ["a", "bb", "c", "dddd", "e"];
        assert_eq!(shown(&cells, 80), ["a  bb  c  dddd  e"]);
        assert_eq!(shown(&cells, 10), ["a   dddd", "bb  e", "c"]);
        assert_eq!(shown(&cells, 3), ["a", "bb", "c", "dddd", "e"]);
        assert_eq!(shown(&[], 80), [""; 0]);
        assert_eq!(shown(&["much wider than that"], 10), ["much wider than that"]);
    }

    #[test]
    fn no_row_is_wider_than_the_terminal_and_no_cell_is_lost() {
        for width in [1, 20, 40, 80, 200] {
            for count in 0..60 {
                let cells: Vec<usize> = (0..count).map(|number| 1 + number * 7 % 13).collect();
                let columns = Columns::arrange(&cells, width);
                let mut seen = Vec::new();
                for row in columns.rows(count) {
                    let ends: Vec<usize> = row.iter().map(|(cell, start)| start + cells[*cell]).collect();
                    assert!(ends.iter().all(|end| *end <= width) || row.len() == 1, "{row:?} in {width}");
                    assert!(ends.iter().zip(row.iter().skip(1)).all(|(end, (_, start))| end + GAP <= *start));
                    seen.extend(row.iter().map(|(cell, _)| *cell));
                }
                seen.sort_unstable();
                assert_eq!(seen, (0..count).collect::<Vec<_>>());
            }
        }
    }
}
