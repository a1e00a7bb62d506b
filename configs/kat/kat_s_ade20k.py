"""UPerNet with KAT-S on ADE20K: 160k iterations of 16 crops of 512 x 512."""
_base_ = 'kat_t_ade20k.py'

arch = 'small'
channels = 384
drop_path_rate = 0.1
checkpoint = 'data/weights/kat_s.pth'
