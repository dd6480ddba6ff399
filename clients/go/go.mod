module netdisk

go 1.19
