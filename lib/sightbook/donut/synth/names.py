"""Names of people by region, for drawing identities: surnames, given names and places.

Widespread names as any telephone book has them, written as their bearers do. Where a surname has
two forms, the man's stands before the slash and the woman's after it. Cyrillic and Greek names are
brought into Latin letters by ``mrz.transliterate`` like those of a real applicant.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """Names that go together.

    Attributes:
        states: codes of states in which these names are common.
        surnames: family names, ``man/woman`` where the forms differ.
        men: given names of men.
        women: given names of women.
        places: places of birth.
        double: share of people with two surnames.
    """

    states: tuple[str, ...]
    surnames: tuple[str, ...]
    men: tuple[str, ...]
    women: tuple[str, ...]
    places: tuple[str, ...]
    double: float = 0.03


def _region(
    states: str, surnames: str, men: str, women: str, places: str, double: float = 0.03
) -> Region:
    def names(text: str) -> tuple[str, ...]:
        # "_" stands for the space within a name.
        return tuple(name.replace("_", " ") for name in text.split())

    codes = tuple(states.split())
    return Region(codes, names(surnames), names(men), names(women), names(places), double)


REGIONS: tuple[Region, ...] = (
    _region(
        "D AUT CHE LIE LUX",
        "Müller Schmidt Schröder Weiß Jäger Köhler Böhm Günther Groß Vögeli Bärtschi Öztürk Wagner"
        " Zürcher von_Bülow Freiherr_von_Stein Hofstätter Übelacker Kühn Lorenz Straßer Wüthrich"
        " Bauer-Huber Königsberger Zwölfer Schäfer Franke Götz",
        "Jürgen Björn Günter Karl-Heinz Matthias Lukas Maximilian Uwe Jörg Götz Xaver Florian",
        "Käthe Jördis Annegret Ursula Hannelore Mäxi Zoë Luise Franziska Sabine Änne Heidemarie",
        "Köln München Graz Zürich Lübeck Wien Görlitz Basel",
    ),
    _region(
        "FRA BEL CAN MCO LUX CHE",
        "Lefèvre Müller-Dubois Béranger François Gauthier Hébert D'Aubigné Lévesque Crépeau Noël"
        " Châtelain De_La_Fontaine Brûlé Garçon Moreau Petit Roux Leroy Bœuf Desœuvres Île Thérond"
        " Lacoste Fournier Vandenbroucke Peeters Œhler L'Écuyer",
        "André Jérôme François-Xavier Gaël Benoît Rémi Loïc Étienne Jean-Pierre Maël Raphaël Yves",
        "Zoé Anaïs Hélène Françoise Élodie Marie-Thérèse Chloé Aimée Noémie Clémence Cécile Maëlys",
        "Nîmes Liège Besançon Québec Orléans Saint-Étienne Béziers",
    ),
    _region(
        "GBR USA AUS NZL IRL CAN JAM ZAF BHS",
        "Smith O'Connor McDonald Taylor-Jones Brown Wilson FitzGerald Clarke Wright Thompson Hughes"
        " MacKenzie O'Neill Ó_Súilabháin Wood Walker Blackwood Baxter Quigley Fox Vaughan"
        " Youngblood"
        " Whitworth Ellsworth Jefferson Washington Kennedy Zuckerman",
        "James William Oliver Jack Zachary Liam Seán Quentin Wyatt Xavier Kevin Graham Theodore",
        "Emily Olivia Charlotte Jacqueline Zoe Siobhán Margaret Wendy Hazel Beatrix Victoria Kate",
        "London Dublin Auckland Toronto Kingston Perth Leeds Boston",
    ),
    _region(
        "SWE NOR DNK FIN ISL FRO GRL ALA",
        "Åkerström Bjørnsen Sjögren Öberg Lindqvist Nygård Sørensen Ærø Kjær Hansen Virtanen"
        " Mäkinen"
        " Hämäläinen Jónsson/Jónsdóttir Þórðarson/Þórðardóttir Guðmundsson/Guðmundsdóttir"
        " Østergaard"
        " Nyström Grönlund Skjelbred Bång Eriksson Väisänen Ylönen Håkansson Bøgh",
        "Åke Bjørn Søren Jørgen Östen Þór Väinö Jyrki Göran Ólafur Håkon Mikkel Sigurður Antti",
        "Åsa Bjørg Märta Solveig Päivi Þórunn Kirsti Jónína Linnéa Sørine Ågot Ylva"
        " Anna_Maria Aino",
        "Malmö Tromsø Århus Jyväskylä Reykjavík Tórshavn Gävle",
    ),
    _region(
        "POL",
        "Kowalski/Kowalska Wiśniewski/Wiśniewska Wójcik Kamiński/Kamińska Zieliński/Zielińska"
        " Szymański/Szymańska Woźniak Dąbrowski/Dąbrowska Kozłowski/Kozłowska Jabłoński/Jabłońska"
        " Grabowski/Grabowska Nowak Zając Król Wróbel Stępień Pawłowski/Pawłowska"
        " Michalski/Michalska"
        " Brzęczyszczykiewicz Gąsienica Źrebiec Ćwikła",
        "Paweł Łukasz Michał Grzegorz Stanisław Wojciech Krzysztof Błażej Zbigniew Rafał Jerzy",
        "Małgorzata Agnieszka Elżbieta Bożena Łucja Zofia Wiesława Jadwiga Świętosława Beata Ewa",
        "Łódź Kraków Poznań Gdańsk Wrocław Zakopane",
        double=0.12,
    ),
    _region(
        "CZE SVK",
        "Novák/Nováková Dvořák/Dvořáková Černý/Černá Procházka/Procházková Kučera/Kučerová"
        " Svoboda/Svobodová Růžička/Růžičková Šťastný/Šťastná Horváth/Horváthová Hruška/Hrušková"
        " Křížek/Křížková Řezníček/Řezníčková Žižka/Žižková Kováč/Kováčová Ďurica/Ďuricová",
        "Jiří Tomáš Ondřej Lukáš Zdeněk Vojtěch Ľubomír František Řehoř Štefan Matěj",
        "Kateřina Markéta Jiřina Věra Ľudmila Božena Eliška Tereza Hedvika Zdeňka",
        "Plzeň Ostrava Košice Liberec Žilina Zlín",
    ),
    _region(
        "HUN ROU MDA",
        "Nagy Szabó Tóth Kovács Horváth Szűcs Kőszegi Őry Ürmös Gyöngyösi Popescu Ionescu"
        " Dumitrașcu"
        " Mureșan Țăranu Ștefănescu Bălan Călinescu Lăzărescu Munteanu Rusu Zsigmond Fűrész",
        "István Zoltán György Gergő Ştefan Ionuț Răzvan Cătălin Ödön László Géza Mihai Vlad",
        "Erzsébet Zsófia Ágnes Ilona Mădălina Ștefania Ioana Gyöngyi Enikő Ruxandra Tünde",
        "Győr Szeged Brașov Cluj-Napoca Chișinău Pécs",
    ),
    _region(
        "HRV SVN BIH MNE SRB",
        "Horvat Kovačević Babić Marić Jurić Novak Đurđević Živković Šarić Vuković Krajnc Zupančič"
        " Hodžić Begić Hadžihasanović Čović Ćosić Petrović Božić Ljubičić Njegoš Žagar",
        "Đorđe Željko Šime Ljubomir Miloš Stjepan Žiga Emir Nedžad Zdravko Franjo Jože",
        "Ljiljana Željka Đurđica Tatjana Snježana Mojca Amra Nađa Jasna Špela Živa",
        "Ljubljana Šibenik Mostar Nikšić Čakovec Tuzla",
    ),
    _region(
        "EST LVA LTU",
        "Tamm Mägi Põld Õunapuu Kõiv Bērziņš/Bērziņa Kalniņš/Kalniņa Ozoliņš/Ozoliņa"
        " Jansons/Jansone"
        " Kazlauskas/Kazlauskienė Žukauskas/Žukauskaitė Šimkus/Šimkienė Petraitis/Petraitytė Ülper"
        " Käär Šķēle Grīnbergs/Grīnberga",
        "Jüri Tõnu Mihkel Jānis Kārlis Ģirts Žydrūnas Vytautas Ąžuolas Ülo Andris Rihards",
        "Õie Külli Līga Ieva Dzintra Eglė Rūta Živilė Jūratė Mari Kristīne Ķirsa",
        "Tallinn Jēkabpils Šiauliai Pärnu Rīga Kaunas",
    ),
    _region(
        "ESP MEX ARG COL CHL PER VEN URY ECU CRI DOM CUB",
        "García Rodríguez Núñez Muñoz Peña Ibáñez Gómez Hernández Ordóñez López Martínez Vázquez"
        " de_la_Cruz Del_Río Yáñez Quiñones Zúñiga Saavedra Etxeberria Güell Borràs Puigdemont"
        " Villanueva Castaño Ñáñez Echevarría Jiménez Urdangarín",
        "José_María Jesús Andrés Íñigo Ramón Nicolás Joaquín Martín Xabier Agustín Raúl Óscar",
        "María_del_Carmen Inés Begoña Concepción Itziar Ángeles Rocío Guadalupe Lucía Sofía Núria",
        "Málaga Córdoba Bogotá Mérida A_Coruña Asunción",
        double=0.7,
    ),
    _region(
        "PRT BRA AGO MOZ CPV",
        "Gonçalves Conceição Simões Araújo Magalhães Brandão dos_Santos da_Silva Guimarães Sá"
        " Falcão Leitão Quintão Assunção Pereira Oliveira Nóbrega Távora Vasconcelos Ximenes Moção",
        "João Antônio Estêvão Luís Inácio Caetano Gonçalo Sebastião Thiago Kauê Mário",
        "Conceição Mônica Inês Débora Graça Antónia Luíza Beatriz Tânia Assunção Lurdes",
        "São_Paulo Évora Belém Lisboa Luanda Maputo",
        double=0.6,
    ),
    _region(
        "ITA SMR VAT MLT CHE",
        "Rossi D'Angelo Esposito De_Luca Lo_Presti Nicolò Dell'Acqua Mastroianni Bianchi Zanetti"
        " Quagliarella Ricci Dal_Prà Cutrì Borg Ċassar Żammit Farruġia Hyzler Sciberras Forlì",
        "Niccolò Giuseppe Vincenzo Gian-Luca Michele Ġorġ Karm Nazzareno Fabrizio Ludovico",
        "Zoë Giulia Mariangela Lucrezia Chiara Ġiġa Żaren Beatrice Annunziata Maria_Grazia",
        "Forlì Palermo Valletta Cagliari Napoli Agrigento",
    ),
    _region(
        "NLD BEL SUR CUW ABW",
        "van_der_Berg de_Vries 't_Hoen Jansen van_den_Heuvel IJzerman Ruijgrok Dijkstra Zeeman"
        " Quaedvlieg Van_Wijngaarden Kuijpers van_'t_Zelfde Brouwer Coëlho Hoogeveen Wijffels",
        "Jan-Willem Daniël Joost Gijs Hendrikus Pieter Wouter IJsbrand Bouke Thijs",
        "Loïs Mariëtte Anneke Wilhelmina Noëlle Geertruida Fleur Joëlle Dieuwertje",
        "'s-Gravenhage IJmuiden Utrecht Paramaribo Zwolle",
    ),
    _region(
        "TUR AZE CYP",
        "Yılmaz Öztürk Çelik Şahin Yıldız Kılıç Güneş Doğan Erdoğan İnönü Hacıyev/Hacıyeva"
        " Hüseynov/Hüseynova Gökçe Işık Büyükşahin Ağaoğlu Çağlayan Kaçar Ünal",
        "İbrahim Oğuz Çağrı Şükrü Uğur Ömer Ümit Rauf Anar Barış Yiğit Mustafa",
        "Ayşe Gülşen Çiğdem Şule Özlem Işıl Günay Gözde Tuğba Sevinç Zeynep",
        "Diyarbakır İzmir Gəncə Eskişehir Bakı Muğla",
    ),
    _region(
        "RUS BLR KAZ KGZ",
        "Иванов/Иванова Щербаков/Щербакова Жуков/Жукова Чайковский/Чайковская Юдин/Юдина"
        " Ельцин/Ельцина Хрущёв/Хрущёва Цветков/Цветкова Ефимов/Ефимова Бердыев/Бердыева"
        " Шишкин/Шишкина"
        " Соловьёв/Соловьёва Лукашевич Мельник Нурланов/Нурланова Яшин/Яшина Объедков/Объедкова",
        "Алексей Юрий Дмитрий Фёдор Евгений Михаил Илья Тимур Вячеслав Ерлан Геннадий",
        "Юлия Наталья Ксения Татьяна Евгения Любовь Айгуль Щедра Зинаида Марья Яна",
        "Челябинск Минск Алматы Йошкар-Ола Тверь Бишкек",
    ),
    _region(
        "UKR",
        "Шевченко Коваленко Ткаченко Бойко Кравчук Їжакевич Гончаренко Лисенко Ющенко Петренко"
        " Хмельницький/Хмельницька Яковенко Ґалаґан Щур Євтушенко Панасюк",
        "Олександр Володимир Андрій Юрій Євген Тарас Богдан Ігор Сергій Мар'ян",
        "Олена Наталія Ірина Їванна Юлія Зоряна Оксана Людмила Соломія",
        "Київ Запоріжжя Чернівці Харків Львів",
    ),
    _region(
        "BGR MKD SRB",
        "Димитров/Димитрова Георгиев/Георгиева Ангелов/Ангелова Стоянов/Стоянова Желев/Желева"
        " Јовановски/Јовановска Ђорђевић Петровић Његош Ћирић Николовски/Николовска"
        " Хаджиев/Хаджиева",
        "Георги Христо Желязко Бранко Ђорђе Љубомир Александар Цветан Янко",
        "Мария Цветелина Љиљана Јелена Снежана Живка Надежда Ђурђа",
        "София Пловдив Скопје Ниш Битола",
    ),
    _region(
        "GRC CYP",
        "Παπαδόπουλος/Παπαδοπούλου Γεωργίου Οικονόμου Νικολαΐδης/Νικολαΐδου Μαυρομιχάλης"
        " Χατζηδάκης/Χατζηδάκη Ευαγγέλου Αγγελόπουλος/Αγγελοπούλου Ξενάκης/Ξενάκη Ψαράς Θεοδωράκης",
        "Γεώργιος Ιωάννης Ευάγγελος Χρήστος Θεόδωρος Ξενοφών Ηλίας Αύγουστος",
        "Ελένη Ευγενία Χρυσούλα Αικατερίνη Δέσποινα Ξένια Θεοδώρα Ουρανία",
        "Αθήνα Θεσσαλονίκη Λευκωσία Χανιά",
    ),
    _region(
        "ALB RKS",
        "Hoxha Gjoka Çela Përmeti Shehu Krasniqi Bytyqi Zëri Thaçi Xhafa Berisha Gjinali Ndreu",
        "Agron Gjergj Besnik Çlirim Ilir Xhevdet Fatos Përparim",
        "Shqipe Vjollca Çiljeta Lumturi Blerta Njomza Gëzime Arbëresha",
        "Tiranë Prishtinë Gjirokastër Shkodër",
    ),
    _region(
        "EGY MAR DZA TUN SAU IRQ SYR LBN JOR ARE YEM LBY SDN QAT KWT PSE",
        "Al-Rashid El_Khoury Ben_Ali Bouazizi Haddad Mansour Abu_Zayd Al_Thani Khalil Najjar"
        " Abdel_Rahman Bin_Laksar Zerrouki Qasim Hussein Jaber Shaheen Al-Faisal Ait_Benhaddou",
        "Mohammed Ahmad Abd_El-Aziz Youssef Hassan Tariq Khaled Jamal_Eddine Omar Bilal Zakaria",
        "Fatima_Zahra Aisha Khadija Layla Noor Yasmina Rania Zaynab Houda Amal Maryam",
        "Cairo Fès Béjaïa Amman Basra Sfax Doha Tripoli",
    ),
    _region(
        "IRN AFG PAK TJK",
        "Hosseini Ahmadi Rezaei Karimi Khan Bhutto Qureshi Chaudhry Yousafzai Zadeh Jafarzadeh"
        " Noorzai Wardak Mirza Malik Siddiqui Gulzar Rahmonov/Rahmonova",
        "Mohammad_Reza Ali Farhad Imran Zulfiqar Muhammad Usman Jawad Bahram Waqar",
        "Zahra Maryam Shirin Benazir Ayesha Parvin Fatemeh Nasreen Gulnoza",
        "Tehran Lahore Kabul Karachi Dushanbe Quetta",
    ),
    _region(
        "IND NPL LKA BGD BTN",
        "Sharma Patel Krishnamurthy Venkataraman Chatterjee Singh Wickramasinghe Jayawardene Gupta"
        " Subramanian Chowdhury Begum Rahman Gurung Thapa Dorji Fernando Mukhopadhyay Iyer Xalxo",
        "Rajesh Vijay Lakshman Arjun Krishna Muttiah Sandeep Jigme Zahid Yuvraj",
        "Priya Lakshmi Anjali Kumari Deepika Sunita Jyoti Indira Chandrika Wangmo",
        "Kolkata Chennai Colombo Kathmandu Dhaka Thimphu Pune",
    ),
    _region(
        "CHN TWN HKG SGP MAC",
        "Wang Li Zhang Liu Chen Yang Zhao Huang Zhou Wu Xu Sun Hu Zhu Gao Lin He Guo Ma Luo Ng Xie"
        " Ouyang Sima Chan Cheung Wong Lü Qiu",
        "Wei Jianguo Xiaoming Zhiqiang Yong Jun Chi-Ming Ka_Ho Guoqiang Haoran Yuxuan",
        "Xiuying Fang Min Jing Yan Hui_Ling Mei-Hua Ling Qian Zixuan Wai_Yee",
        "Shanghai Guangzhou Xi'an Taipei Kowloon Chengdu",
    ),
    _region(
        "JPN KOR PRK MNG",
        "Sato Suzuki Takahashi Watanabe Yamamoto Kobayashi Ōno Fujiwara Kim Lee Park Choi"
        " Jeong Yoon"
        " Hwang Tsukamoto Batbayar Ganbold Enkhtuya Kyōgoku Shinozuka",
        "Hiroshi Kenji Takeshi Min-Jun Seung_Hyun Ji-Hoon Yūta Shin'ichi Bold Temüjin",
        "Yoko Sakura Ji-Woo Soo_Yeon Keiko Michiko Eun-Kyung Oyuunchimeg Hye_Jin",
        "Osaka Busan Ulaanbaatar Sapporo Incheon Kyoto",
    ),
    _region(
        "VNM KHM LAO THA MMR",
        "Nguyễn Trần Lê Phạm Huỳnh Võ Đặng Bùi Sok Chea Souvannavong Suwannarat Chaiyasit Aung Htun"
        " Phommachanh Wongsakul Rattanakosin Đỗ Hồ",
        "Văn_Hùng Minh_Đức Quốc_Việt Sopheak Somchai Thaksin Zaw_Win Kyaw Đình_Phúc Boonmee",
        "Thị_Hương Ngọc_Ánh Thu_Hà Bopha Siriporn Khin_Mya Thị_Mỹ_Dung Kanya",
        "Hà_Nội Đà_Nẵng Bangkok Yangon Vientiane Huế",
    ),
    _region(
        "IDN MYS PHL BRN TLS",
        "Widodo Sukarnoputri Wijaya Binti_Yusof Bin_Abdullah Santos Reyes Dela_Cruz Macapagal"
        " Simatupang Hutagalung Tan Lim Bautista Magsaysay Ybañez Quizon Nasution Panjaitan",
        "Joko Budi Muhammad_Hafiz Jejomar Ferdinand Agus Ahmad_Zulkifli Rizal Wayan",
        "Siti Dewi Nurul_Izzah Maria_Corazon Ni_Luh Puteri Jocelyn Kartini Aung_San",
        "Jakarta Surabaya Cebu Kuching Zamboanga Denpasar",
    ),
    _region(
        "NGA GHA KEN TZA UGA CMR SEN CIV MLI ETH RWA COD ZMB ZWE SOM BEN TGO MDG",
        "Okonkwo Adebayo Nkrumah Mensah Mwangi Odhiambo N'Diaye Traoré Diallo Keïta Kagame Bekele"
        " Mutombo Nguema Chukwuemeka Kwizera Ouédraogo Rakotomalala Andrianampoinimerina Mbeki"
        " Zuma Tshisekedi Wanjiku Oyelaran Quaye Abdi",
        "Kwame Chinedu Oluwaseun Mamadou Jomo Tesfaye Jean-Bosco Yaw Moussa Sipho Kofi",
        "Ngozi Aminata Wangari Adwoa Chimamanda Fatou Zodwa Abena Mariam Uwase Makeda",
        "Lagos Accra Mombasa N'Djamena Bamako Kigali Yaoundé Addis_Ababa",
    ),
    _region(
        "ISR GEO ARM UZB TKM",
        "Cohen Ben-David Shapiro Katz Mizrahi Kvaratskhelia Beridze Gelashvili Jugashvili Mkrtchyan"
        " Hakobyan Petrosyan Sargsyan Karimov/Karimova Niyazov/Niyazova Yusupov/Yusupova Zilberman",
        "Yitzhak Avraham Giorgi Zurab Tigran Hrant Islom Yehuda Vakhtang Gurbanguly",
        "Rivka Yael Nino Ketevan Anahit Hasmik Dilnoza Shlomit Tzipora Gulnara",
        "Haifa Tbilisi Gyumri Samarkand Batumi Jerusalem",
    ),
    _region(
        "FJI WSM TON PNG NZL KIR VUT PLW",
        "Tuilagi Fonoti Kaho Vunipola Waqavatu Taufa Somare Fakatava Teo Qarase Mata'afa Tūhoe",
        "Semi Jone Viliami Tāne Michael_Thomas Sione Kere Wiremu",
        "Mere Ana Salote Losa Kahurangi Hinemoa Sera Pua",
        "Suva Apia Port_Moresby Nukuʻalofa",
    ),
)

SPECIMENS: tuple[tuple[str, str], ...] = (
    ("Specimen", "Test"),
    ("Muster", "Max"),
    ("Musterfrau", "Eva"),
    ("Sample", "Jane"),
    ("Specimen", ""),
    ("Modelo", "Ana María"),
    ("Vzorová", "Petra"),
    ("Esimerkki", "Matti"),
    ("Przykładowa", "Anna"),
    ("Exemple", "Jean"),
    ("Void", "Specimen"),
    ("Nobody", "Nemo"),
    ("Doe", "John"),
    ("Minta", "Éva"),
    ("Örnek", "Deniz"),
    ("Proba", "Jan"),
    ("Esempio", "Maria"),
    ("Traveler", "Happy"),
    ("Speciman", "Norah"),
    ("Utopian", "Happy Person"),
)
"""Surname and given names as printed on specimens."""
