"""The names of the papers' tables, apart from their numbers: a shell that completes them has no time."""

from __future__ import annotations

TITLES: dict[str, str] = {
    "ddm-1": "DDM, selections and condensation with ConvNets, four data sets",
    "ddm-2": "DDM and DM with ResNet-18",
    "ddm-3": "DDM and DM on images of 128 pixels",
    "ddm-4": "Condensed with one network, evaluated with others; CIFAR-10, 10 images per class",
    "ddm-5": "Style matching added to DM, DataDAM and IDM",
    "ddm-fig3b": "Class-incremental CIFAR-100, final accuracy; steps and images per class not stated",
    "idm-1": "IDM, selections and condensation with ConvNets, four data sets",
    "idm-2": "IDM's parts, added one after the other",
    "idm-3": "IDM by the number of images in a stored one",
    "idm-4": "Condensed with one network, evaluated with others, IDM without partition; CIFAR-10",
    "idm-5": "Condensed with one network, evaluated with others, DM too; CIFAR-10",
    "idm-fig8": "Class-incremental CIFAR-100, final accuracy, IDM without partition",
    "iid-1": "IID on DM and on IDM, selections and condensation, three data sets",
    "iid-2": "IID on DM and on IDM, selections and condensation, TinyImageNet",
    "iid-3": "Evaluated with other networks, IDM alone without partition; 10 images per class",
    "iid-4": "Evaluated with other networks; 50 images per class",
    "iid-5": "Class centralisation by its threshold; numbers missing",
    "iid-6": "IID's parts on DM; images per class on CIFAR-100 inferred",
    "iid-7": "From 1 to 1000 images per class of CIFAR-10; that IID is on IDM is inferred",
    "iid-fig7": "Class-incremental CIFAR-100; a figure without numbers",
    "iid-text4.4": "Range of accuracy over the weights of IID's parts; images per class inferred",
    "m3d-1": "Distances of moments, and accuracy; CIFAR-10, 10 images per class",
    "m3d-2": "M3D, selections and condensation with ConvNets, five data sets",
    "m3d-3": "M3D, selections and condensation on ImageNet, with the hours",
    "m3d-4": "Evaluated with other networks; CIFAR-10",
    "m3d-5": "M3D's loss in the place of DM's and IDM's; CIFAR-10",
    "ncfm-1": "Methods since, with ConvNets, three data sets",
    "ncfm-3": "Seconds an iteration of NCFM takes",
}
"""The tables in order, and what they show."""
