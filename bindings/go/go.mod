module hcs

go 1.19
