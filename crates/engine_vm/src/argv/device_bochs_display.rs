//! `-device bochs-display`: a screen. It is a bare frame buffer, which firmware and guests have drivers for, without
//! the registers and the program of a VGA card.

use super::Switch;
use crate::screen::Screen;

pub(super) struct Display(pub(super) Screen);

impl Switch for Display {
    fn words(&self) -> Vec<String> {
        let Screen { width, height } = self.0;
        let memory = self.0.memory_mb();
        let words = format!("bochs-display,id=screen,xres={width},yres={height},vgamem={memory}M");
        vec!["-device".to_owned(), words]
    }
}
