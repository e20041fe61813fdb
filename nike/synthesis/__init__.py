"""Draws labelled photos of a logo: products, scenes, materials, look-alikes and a camera, in NumPy, OpenCV and Pillow.

A photo is built in layers, each file one idea:

    svg, logo      the mark's outline from an SVG path, or outline and colours from a picture with alpha
    geometry       splines, homographies, fine rasters and the polygons that come back from them
    canvas         colour + height + gloss per pixel, and the light that turns them into a picture
    materials      colours and surface textures (knit, leather, wood, concrete, ...)
    styles, marks  paint one outline in one of many ways and remember which part of it stays visible
    labelling      what can be seen of a mark becomes polygons, and `ignore` where nobody could outline it
    lookalikes     shapes and words that must not be mistaken for the mark
    pen            draws products in their own frames; offers room for marks
    shoes, clothes, accessories, goods    the products
    occlusion      what gets in the way
    scenes         what stands behind the products
    camera         light, blur, noise and JPEG artefacts; none of them moves a pixel
    cutouts        real marks cut out of a labelled dataset
    compose        one photo from all of these

Coordinates are (x, y) in continuous pixels, origin at the top left corner of the photo, as on labelme's canvas: pixel 0
covers 0..1. Every choice comes from one `numpy.random.Generator`, so a seed fixes the photo.
"""
