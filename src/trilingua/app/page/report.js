/* The report's interactive 3D views. Every `.view3d` names its scenes by their index in the page's data.

All views share one WebGL context, since browsers allow about sixteen a page: the one renderer draws a
view off screen and its picture is copied to the view's own 2D canvas, only when something has changed.
The library is text until the first view comes near the screen. Lengths are metres, z is up. */
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const SURFACES = { metal: { metalness: 1.0, roughness: 0.2, envMapIntensity: 1.1 }, rubber: { metalness: 0.0, roughness: 0.75, envMapIntensity: 0.32 } };
  const FIELD_OF_VIEW_DEGREES = 37.85; // of CLEVR's camera, for the picture's height
  const BACKGROUND = 0x85858a;
  let stage = null;

  class Stage {
    constructor() {
      const library = document.createElement("script");
      library.textContent = document.getElementById("report-library").textContent;
      document.head.append(library);
      this.renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
      this.renderer.outputEncoding = THREE.sRGBEncoding;
      this.renderer.shadowMap.enabled = true;
      this.renderer.shadowMap.type = THREE.PCFSoftShadowMap;
      this.world = new THREE.Scene();
      this.world.background = new THREE.Color(BACKGROUND);
      this.world.fog = new THREE.Fog(this.world.background, 13, 30);
      this.world.environment = this.surroundings();
      this.lights();
      this.ground();
      this.shapes = { sphere: new THREE.SphereGeometry(1, 64, 40), cube: roundedCube(0.06), cylinder: roundedCylinder(0.06) };
    }

    lights() {
      const lamp = (x, y, z, intensity, shadow) => {
        const light = new THREE.DirectionalLight(0xffffff, intensity);
        light.position.set(x, y, z);
        if (shadow) {
          light.castShadow = true;
          light.shadow.mapSize.set(1024, 1024);
          Object.assign(light.shadow.camera, { left: -6, right: 6, top: 6, bottom: -6, near: 1, far: 25 });
          light.shadow.radius = 5;
          light.shadow.normalBias = 0.03;
        }
        this.world.add(light);
      };
      lamp(6.4, -2.9, 8.0, 0.5, true);
      lamp(-1.2, 4.5, 6.0, 0.18, false);
      lamp(-4.7, -4.0, 4.0, 0.12, false);
    }

    ground() {
      const material = new THREE.MeshStandardMaterial({ color: 0x6e6e6e, roughness: 1.0, envMapIntensity: 0.32 });
      const ground = new THREE.Mesh(new THREE.CircleGeometry(40, 64), material);
      ground.receiveShadow = true;
      this.world.add(ground);
    }

    /* What metal mirrors: a gray room with three bright panels where the lamps are. */
    surroundings() {
      const room = new THREE.Scene();
      const box = (w, d, h, x, y, z, gray, side) => {
        const color = new THREE.Color(gray, gray, gray);
        const mesh = new THREE.Mesh(new THREE.BoxGeometry(w, d, h), new THREE.MeshBasicMaterial({ color, side }));
        mesh.position.set(x, y, z);
        mesh.lookAt(0, 0, 0);
        room.add(mesh);
      };
      room.add(new THREE.Mesh(new THREE.SphereGeometry(30, 32, 16), new THREE.ShaderMaterial({
        side: THREE.BackSide,
        vertexShader: "varying vec3 p; void main() { p = normalize(position); gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }",
        fragmentShader: "varying vec3 p; void main() { float t = smoothstep(-0.12, 0.5, p.z); gl_FragColor = vec4(vec3(mix(0.30, 0.62, t)), 1.0); }",
      })));
      box(7, 7, 0.2, 11, -5, 9, 7.0, THREE.FrontSide);
      box(5, 5, 0.2, -3, 9, 10, 4.0, THREE.FrontSide);
      box(6, 6, 0.2, -10, -8, 6, 2.5, THREE.FrontSide);
      const maker = new THREE.PMREMGenerator(this.renderer);
      const texture = maker.fromScene(room, 0.02).texture;
      maker.dispose();
      return texture;
    }

    build(scene, ghost) {
      const group = new THREE.Group();
      for (const item of scene.objects) {
        const [r, g, b] = data.colors[item.color];
        // Of a ghost only the back is drawn, so that it lays no veil over the object in front of it.
        const material = ghost
          ? new THREE.MeshBasicMaterial({ color: 0xffffff, transparent: true, opacity: 0.5, side: THREE.BackSide, depthWrite: false })
          : new THREE.MeshStandardMaterial({ color: new THREE.Color(r / 255, g / 255, b / 255), ...SURFACES[item.material] });
        const mesh = new THREE.Mesh(this.shapes[item.shape], material);
        mesh.scale.setScalar(data.half_sizes[item.size] * (ghost ? 1.03 : 1));
        mesh.position.set(...item.location);
        mesh.rotation.z = (item.rotation_degrees * Math.PI) / 180;
        mesh.castShadow = mesh.receiveShadow = !ghost;
        mesh.userData.words = item.words + (ghost ? " (true)" : "");
        group.add(mesh);
      }
      group.visible = false;
      this.world.add(group);
      return group;
    }

    draw(canvas, camera, groups) {
      const { width, height } = canvas;
      const size = this.renderer.getSize(new THREE.Vector2());
      if (size.x !== width || size.y !== height) this.renderer.setSize(width, height, false);
      groups.forEach((group) => (group.visible = true));
      this.renderer.render(this.world, camera);
      groups.forEach((group) => (group.visible = false));
      canvas.getContext("2d").drawImage(this.renderer.domElement, 0, 0);
    }
  }

  function roundedCube(radius) {
    const geometry = new THREE.BoxGeometry(2, 2, 2, 10, 10, 10);
    const place = geometry.attributes.position, normal = geometry.attributes.normal;
    const inner = 1 - radius, point = new THREE.Vector3(), core = new THREE.Vector3();
    // Only the outermost ring of corners rounds the edge; the rest of each side stays flat.
    const spread = (v) => (Math.abs(v) > 0.99 ? v : Math.abs(v) > 0.5 ? Math.sign(v) * (inner + (Math.abs(v) - 0.6) * radius * 2.2) : v);
    for (let i = 0; i < place.count; i++) {
      point.fromBufferAttribute(place, i).set(spread(point.x), spread(point.y), spread(point.z));
      core.copy(point).clampScalar(-inner, inner);
      point.sub(core).normalize();
      normal.setXYZ(i, point.x, point.y, point.z);
      point.multiplyScalar(radius).add(core);
      place.setXYZ(i, point.x, point.y, point.z);
    }
    return geometry;
  }

  function roundedCylinder(radius) {
    const profile = [new THREE.Vector2(0, -1)];
    for (const [x, y, start] of [[1 - radius, radius - 1, -90], [1 - radius, 1 - radius, 0]])
      for (let step = 0; step <= 6; step++) {
        const angle = ((start + step * 15) * Math.PI) / 180;
        profile.push(new THREE.Vector2(x + radius * Math.cos(angle), y + radius * Math.sin(angle)));
      }
    profile.push(new THREE.Vector2(0, 1));
    return new THREE.LatheGeometry(profile, 72).rotateX(Math.PI / 2);
  }

  class View {
    constructor(root) {
      this.root = root;
      this.canvas = root.querySelector("canvas");
      this.tip = root.querySelector(".tip");
      this.mode = "model";
      this.dirty = this.started = this.near = false;
      this.pointers = new Map();
      this.listen();
    }

    start() {
      this.started = true;
      stage ??= new Stage();
      const { scene, truth } = this.root.dataset;
      this.model = stage.build(data.scenes[scene], false);
      if (truth !== undefined) {
        this.truth = stage.build(data.scenes[truth], false);
        this.ghost = stage.build(data.scenes[truth], true);
      }
      this.camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW_DEGREES, 4 / 3, 0.1, 100);
      this.camera.up.set(0, 0, 1);
      this.home = data.scenes[scene].camera;
      this.reset();
    }

    reset() {
      const [x, y, z] = this.home;
      this.distance = Math.hypot(x, y, z);
      this.azimuth = Math.atan2(y, x);
      this.elevation = Math.asin(z / this.distance);
      this.refresh();
    }

    groups() {
      if (this.mode === "truth") return [this.truth];
      return this.mode === "both" ? [this.model, this.ghost] : [this.model];
    }

    refresh() {
      if (this.dirty || !this.started || !this.near) return;
      this.dirty = true;
      requestAnimationFrame(() => {
        this.dirty = false;
        this.draw();
      });
    }

    draw() {
      const scale = Math.min(window.devicePixelRatio || 1, 2);
      const width = Math.round(this.canvas.clientWidth * scale), height = Math.round(this.canvas.clientHeight * scale);
      if (!width || !height) return;
      if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
      const flat = this.distance * Math.cos(this.elevation);
      this.camera.aspect = width / height;
      this.camera.position.set(flat * Math.cos(this.azimuth), flat * Math.sin(this.azimuth), this.distance * Math.sin(this.elevation));
      this.camera.lookAt(0, 0, 0);
      this.camera.updateProjectionMatrix();
      stage.draw(this.canvas, this.camera, this.groups());
      this.root.classList.add("ready");
    }

    turn(right, up) {
      this.azimuth -= right;
      this.elevation = Math.min(1.5, Math.max(0.06, this.elevation + up));
      this.refresh();
    }

    zoom(factor) {
      this.distance = Math.min(22, Math.max(4, this.distance * factor));
      this.refresh();
    }

    name(event) {
      const box = this.canvas.getBoundingClientRect();
      const at = new THREE.Vector2(((event.clientX - box.left) / box.width) * 2 - 1, 1 - ((event.clientY - box.top) / box.height) * 2);
      const ray = new THREE.Raycaster();
      ray.setFromCamera(at, this.camera);
      const hit = ray.intersectObjects(this.groups().flatMap((group) => group.children))[0];
      this.tip.textContent = hit ? hit.object.userData.words : "";
      this.tip.hidden = !hit;
      if (hit) Object.assign(this.tip.style, { left: `${event.clientX - box.left}px`, top: `${event.clientY - box.top}px` });
    }

    listen() {
      const { canvas } = this;
      canvas.addEventListener("pointerdown", (event) => {
        canvas.focus({ preventScroll: true });
        canvas.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
        this.tip.hidden = true;
      });
      canvas.addEventListener("pointermove", (event) => {
        if (!this.started) return;
        const last = this.pointers.get(event.pointerId);
        if (!last) return this.name(event);
        const now = [event.clientX, event.clientY];
        if (this.pointers.size === 2) {
          const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
          const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
          this.zoom(apart(last) / apart(now));
        } else this.turn((now[0] - last[0]) * 0.008, (now[1] - last[1]) * 0.008);
        this.pointers.set(event.pointerId, now);
      });
      for (const type of ["pointerup", "pointercancel"])
        canvas.addEventListener(type, (event) => this.pointers.delete(event.pointerId));
      canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
      canvas.addEventListener("dblclick", () => this.started && this.reset());
      canvas.addEventListener("wheel", (event) => {
        // The page keeps scrolling until the view has been clicked.
        if (!this.started || !(event.ctrlKey || document.activeElement === canvas)) return;
        event.preventDefault();
        this.zoom(Math.exp(event.deltaY * 0.001));
      }, { passive: false });
      canvas.addEventListener("keydown", (event) => {
        const act = { ArrowLeft: () => this.turn(-0.12, 0), ArrowRight: () => this.turn(0.12, 0), ArrowUp: () => this.turn(0, 0.08),
          ArrowDown: () => this.turn(0, -0.08), "+": () => this.zoom(0.9), "-": () => this.zoom(1.1), Home: () => this.reset() }[event.key];
        if (!act || !this.started) return;
        event.preventDefault();
        act();
      });
      for (const button of this.root.querySelectorAll("button[data-mode]"))
        button.addEventListener("click", () => {
          this.mode = button.dataset.mode;
          for (const other of this.root.querySelectorAll("button[data-mode]")) other.setAttribute("aria-pressed", other === button);
          this.refresh();
        });
    }
  }

  const views = new Map([...document.querySelectorAll(".view3d")].map((root) => [root, new View(root)]));
  const failed = (error) => {
    for (const root of views.keys()) root.querySelector(".wait").textContent = "This browser shows no 3D (WebGL is off).";
    console.warn(error);
  };
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const view = views.get(entry.target);
      view.near = entry.isIntersecting;
      if (!view.near) continue;
      try {
        if (!view.started) view.start();
        view.refresh();
      } catch (error) {
        observer.disconnect();
        failed(error);
        return;
      }
    }
  }, { rootMargin: "300px 0px" });
  for (const root of views.keys()) observer.observe(root);
  window.addEventListener("resize", () => views.forEach((view) => view.refresh()));
})();
